package kubetest

import (
	"context"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/rest"
)

// Gate is a way to a server that can be cut: what happens meanwhile is not seen by who comes this way.
type Gate struct {
	t    testing.TB
	port *port
	to   string
	wg   sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil while cut
	conns    map[net.Conn]bool
}

// Gate returns a gate that is open. It ends with the test.
func (s *Server) Gate(t testing.TB) *Gate {
	t.Helper()
	host, _, err := net.SplitHostPort(s.port.address)
	if err != nil {
		t.Fatal(err)
	}
	p, err := takePort(host)
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{t: t, port: p, to: s.port.address, conns: map[net.Conn]bool{}}
	g.Mend()
	t.Cleanup(func() {
		g.Cut()
		g.wg.Wait()
		p.free()
	})
	return g
}

// Through returns the config with this way in place of the direct one. The server's certificate is for its host, whatever
// the port.
func (g *Gate) Through(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Host = "https://" + g.port.address
	return config
}

// Cut breaks all connections, and has new ones refused until Mend.
func (g *Gate) Cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener != nil {
		g.listener.Close()
		g.listener = nil
	}
	for c := range g.conns {
		c.Close()
	}
}

// Mend lets new connections through.
func (g *Gate) Mend() {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener != nil {
		return
	}
	config := net.ListenConfig{Control: sharePort}

	listener, err := config.Listen(context.Background(), "tcp", g.port.address)
	if err != nil {
		g.t.Fatal(err)
	}
	g.listener = listener
	g.wg.Go(func() { g.accept(listener) })
}

// sharePort lets a listener in beside the socket that keeps the port.
func sharePort(_, _ string, c syscall.RawConn) error {
	var set error
	err := c.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	if err == nil {
		err = set
	}
	return err
}

// Connections is how many go through the gate now.
func (g *Gate) Connections() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns) / 2 // each has two ends
}

func (g *Gate) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // it was cut
		}
		g.wg.Go(func() { g.serve(conn) })
	}
}

func (g *Gate) serve(conn net.Conn) {
	defer conn.Close()
	server, err := net.Dial("tcp", g.to)
	if err != nil {
		return
	}
	defer server.Close()
	if !g.add(conn, server) {
		return
	}
	defer g.remove(conn, server)
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{conn, server}, {server, conn}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // whoever ends, ends both
			way[0].Close()
			way[1].Close()
		})
	}
	both.Wait()
}

// add says whether connections may go on.
func (g *Gate) add(conns ...net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range conns {
		if g.listener != nil {
			g.conns[c] = true
		}
	}
	return g.listener != nil
}

func (g *Gate) remove(conns ...net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range conns {
		delete(g.conns, c)
	}
}

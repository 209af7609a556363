package kubetest

import (
	"io"
	"net"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
)

// Gate is a way to a server that can be cut: what happens meanwhile is not seen by who comes this way.
type Gate struct {
	to       string
	listener net.Listener

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

// Gate returns a gate that is open. It ends with the test.
func (s *Server) Gate(t testing.TB) *Gate {
	t.Helper()
	host, _, err := net.SplitHostPort(s.port.address)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{to: s.port.address, listener: listener, conns: map[net.Conn]bool{}}
	g.wg.Go(g.accept)
	t.Cleanup(func() {
		listener.Close()
		g.Cut()
		g.wg.Wait()
	})
	return g
}

// Through returns the config with this way in place of the direct one. The server's certificate is for its host, whatever the port.
func (g *Gate) Through(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Host = "https://" + g.listener.Addr().String()
	return config
}

// Cut breaks all connections, and every new one at once, until Mend.
func (g *Gate) Cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cut = true
	for c := range g.conns {
		c.Close()
	}
}

// Mend lets new connections through.
func (g *Gate) Mend() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cut = false
}

// Connections is how many go through the gate now.
func (g *Gate) Connections() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns) / 2 // each has two ends
}

func (g *Gate) accept() {
	for {
		conn, err := g.listener.Accept()
		if err != nil {
			return // the test has ended
		}
		g.wg.Go(func() { g.serve(conn) })
	}
}

func (g *Gate) serve(conn net.Conn) {
	defer conn.Close()
	if !g.add(conn) {
		return
	}
	defer g.remove(conn)
	server, err := net.Dial("tcp", g.to)
	if err != nil {
		return
	}
	defer server.Close()
	if !g.add(server) {
		return
	}
	defer g.remove(server)
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

// add says whether a connection may go on.
func (g *Gate) add(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.cut {
		g.conns[c] = true
	}
	return !g.cut
}

func (g *Gate) remove(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
}

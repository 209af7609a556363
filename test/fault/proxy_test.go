package fault_test

import (
	"net"
	"sync"
	"testing"
	"time"
)

// proxy is the network between collector and engine, which can be broken in every way in which a network breaks.
type proxy struct {
	addr, to string

	mu       sync.Mutex
	listener net.Listener  // nil while it refuses
	stalled  chan struct{} // closed when it no longer is; nil when it is not
	pairs    map[*pair]bool
	closed   bool
}

// pair is one connection through it.
type pair struct{ client, server *net.TCPConn }

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	p := &proxy{addr: "127.0.0.1:0", to: to, pairs: map[*pair]bool{}}
	if err := p.listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.resume()
		p.refuse()
	})
	return p
}

// listen takes connections, at the same address every time.
func (p *proxy) listen() error {
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.addr, p.listener = l.Addr().String(), l
	p.mu.Unlock()
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go p.forward(client.(*net.TCPConn))
		}
	}()
	return nil
}

func (p *proxy) forward(client *net.TCPConn) {
	server, err := net.DialTimeout("tcp", p.to, time.Second)
	if err != nil {
		abort(client)
		return
	}
	c := &pair{client, server.(*net.TCPConn)}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		c.reset()
		return
	}
	p.pairs[c] = true
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pump(c.server, c.client) })
	both.Go(func() { p.pump(c.client, c.server) })
	both.Wait()
	client.Close()
	server.Close()
	p.mu.Lock()
	delete(p.pairs, c)
	p.mu.Unlock()
}

// pump moves bytes until one side ends, and passes that on.
func (p *proxy) pump(to, from *net.TCPConn) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		stalled := p.stalled
		p.mu.Unlock()
		if stalled != nil {
			<-stalled
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			_ = to.CloseWrite()
			return
		}
	}
}

// each does something with every connection.
func (p *proxy) each(do func(*pair)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		do(c)
	}
}

// reset breaks all connections.
func (p *proxy) reset() { p.each((*pair).reset) }

func (c *pair) reset() {
	abort(c.client)
	abort(c.server)
}

// abort closes with a RST.
func abort(c *net.TCPConn) {
	_ = c.SetLinger(0)
	c.Close()
}

// deafen lets the engine hear the end of each request, while the collector still listens; or the other way round.
func (p *proxy) deafen(engine bool) {
	p.each(func(c *pair) {
		if engine {
			_ = c.server.CloseWrite()
		} else {
			_ = c.client.CloseWrite()
		}
	})
}

// stall lets nothing through, and ends no connection.
func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled == nil {
		p.stalled = make(chan struct{})
	}
}

// resume ends a stall.
func (p *proxy) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled != nil {
		close(p.stalled)
		p.stalled = nil
	}
}

// refuse takes no connections any more, and breaks those there are.
func (p *proxy) refuse() {
	p.mu.Lock()
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
	p.mu.Unlock()
	p.reset()
}

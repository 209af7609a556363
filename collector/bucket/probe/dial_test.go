package probe_test

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"sextant/collector/bucket/probe"
	"sextant/collector/bucket/probe/probetest"
)

// publicDial connects to a registry that seems to be at a public address.
func publicDial(r *probetest.Registry) probe.Dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := r.Dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return far{conn}, nil
	}
}

type far struct{ net.Conn }

func (c far) RemoteAddr() net.Addr {
	if c.LocalAddr().(*net.TCPAddr).IP.To4() != nil {
		return &net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 443}
	}
	return &net.TCPAddr{IP: net.ParseIP("2001:db8:ffff::1"), Port: 443}
}

// raw answers with bytes that need not be HTTP, and ends.
func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		fmt.Fprint(conn, text)
		conn.Close()
	}
}

package kubetest

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// A port is a TCP port of this machine that is kept for a server, also while the server is down: the kernel chose it, and
// would give it to the next outgoing connection as well. What keeps it is a bound socket that does not listen, which another
// that shares ports can listen beside.
type port struct {
	number  int
	address string // host and port
	socket  int
}

func takePort(host string) (*port, error) {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return nil, err
	}
	domain, bind := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: addr.As16()})
	if addr.Is4() {
		domain, bind = unix.AF_INET, &unix.SockaddrInet4{Addr: addr.As4()}
	}
	socket, err := unix.Socket(domain, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, fmt.Errorf("take a port of %s: %w", host, err)
	}
	unix.CloseOnExec(socket)
	p := &port{socket: socket}
	if err := p.bind(bind); err != nil {
		p.free()
		return nil, fmt.Errorf("take a port of %s: %w", host, err)
	}
	p.address = net.JoinHostPort(host, strconv.Itoa(p.number))
	return p, nil
}

func (p *port) bind(to unix.Sockaddr) error {
	if err := unix.SetsockoptInt(p.socket, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return err
	}
	if err := unix.Bind(p.socket, to); err != nil {
		return err
	}
	bound, err := unix.Getsockname(p.socket)
	if err != nil {
		return err
	}
	switch bound := bound.(type) {
	case *unix.SockaddrInet6:
		p.number = bound.Port
	case *unix.SockaddrInet4:
		p.number = bound.Port
	}
	return nil
}

func (p *port) free() {
	if p != nil {
		_ = unix.Close(p.socket) // nothing was written
	}
}

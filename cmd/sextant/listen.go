package main

import (
	"errors"
	"net"
	"syscall"
)

type listeners []net.Listener

// listen listens on an address. localhost is this machine whatever its families are: both loopback addresses, or the one
// that there is, with the same port.
func listen(address string) (listeners, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if host != "localhost" {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, err
		}
		return listeners{l}, nil
	}
	var all listeners
	var missing error
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, port))
		switch {
		case err == nil:
			all = append(all, l)
			_, port, _ = net.SplitHostPort(l.Addr().String()) // the kernel may have chosen it
		case errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT):
			missing = errors.Join(missing, err)
		default:
			return nil, errors.Join(err, all.close())
		}
	}
	if len(all) == 0 {
		return nil, missing
	}
	return all, nil
}

// loopback reports whether only this machine can connect.
func (all listeners) loopback() bool {
	for _, l := range all {
		if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
			return false
		}
	}
	return true
}

func (all listeners) close() error {
	var errs []error
	for _, l := range all {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

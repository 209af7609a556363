package hubble

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// target is an address of a Hubble server.
type target struct {
	network string // tcp or unix
	addr    string // host:port, or the socket's path
	tls     bool   // the address itself says so
}

func (t target) String() string {
	if t.network == "unix" {
		return "unix://" + t.addr
	}
	return t.addr
}

// host is the name that the server's certificate must hold when nothing else is said.
func (t target) host() string {
	if t.network == "unix" {
		return "localhost"
	}
	host, _, _ := net.SplitHostPort(t.addr)
	host, _, _ = strings.Cut(host, "%")
	return strings.TrimSuffix(host, ".")
}

// parseTarget reads host:port, [IPv6 address]:port, tls://host:port or unix:///path.
func parseTarget(text string) (target, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		path, ok = strings.CutPrefix(path, "//")
		if !ok || !strings.HasPrefix(path, "/") {
			return target{}, fmt.Errorf("must be unix:// and an absolute path, like unix:///var/run/cilium/hubble.sock, is %q", text)
		}
		return target{network: "unix", addr: path}, nil
	}
	addr, secure := strings.CutPrefix(text, "tls://")
	if scheme, _, ok := strings.Cut(addr, "://"); ok {
		return target{}, fmt.Errorf("scheme %q is unknown: write host:port, tls://host:port or unix:///path", scheme)
	}
	if err := checkHostPort(addr); err != nil {
		return target{}, err
	}
	return target{network: "tcp", addr: addr, tls: secure}, nil
}

func checkHostPort(addr string) error {
	if addr == "" {
		return errors.New("must be host:port, is empty")
	}
	if strings.Count(addr, ":") > 1 && !strings.HasPrefix(addr, "[") {
		if _, err := netip.ParseAddr(addr); err == nil {
			return fmt.Errorf("an IPv6 address needs brackets and a port: write [%s]:4245, not %q", addr, addr)
		}
		return fmt.Errorf("an IPv6 address needs brackets: write [2001:db8::1]:4245, not %q", addr)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("has no port: write %s:4245, not %q", strings.TrimSuffix(addr, ":"), addr)
	}
	if host == "" {
		return fmt.Errorf("has no host: write localhost%s, not %q", addr, addr)
	}
	if strings.HasPrefix(addr, "[") {
		if a, err := netip.ParseAddr(host); err != nil || !a.Is6() {
			return fmt.Errorf("only an IPv6 address goes in brackets, not %q", host)
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("must have a port from 1 to 65535, is %q", addr)
	}
	return nil
}

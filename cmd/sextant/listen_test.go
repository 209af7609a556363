package main

import (
	"net"
	"testing"
)

func TestListen(t *testing.T) {
	t.Parallel()
	all, err := listen("localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := func(l listeners) {
		if err := l.close(); err != nil {
			t.Error(err)
		}
	}
	defer closed(all)
	if !all.loopback() {
		t.Errorf("localhost is more than this machine: %v", all)
	}
	_, port, _ := net.SplitHostPort(all[0].Addr().String())
	for _, l := range all {
		if _, other, _ := net.SplitHostPort(l.Addr().String()); other != port {
			t.Errorf("%s has another port than %s", l.Addr(), all[0].Addr())
		}
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Error(err)
			continue
		}
		conn.Close()
	}
	if more, err := listen("localhost:" + port); err == nil {
		closed(more)
		t.Error("a port in use was taken again")
	}
	for _, address := range []string{"", "localhost", "localhost:x", "192.0.2.1:0"} {
		if more, err := listen(address); err == nil {
			closed(more)
			t.Errorf("%q: no error", address)
		}
	}
	one, err := listen("[::]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer closed(one)
	if one.loopback() {
		t.Error("every address passes for this machine")
	}
}

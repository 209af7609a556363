package hubbletest_test

import (
	"context"
	"os"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	hubbletest "sextant/test/hubble"
)

const name = "node-1.lab.hubble-grpc.cilium.io"

func TestMTLS(t *testing.T) {
	ca, other := hubbletest.NewCA(t), hubbletest.NewCA(t)
	server, client := ca.Server("*.lab.hubble-grpc.cilium.io"), ca.Client("*.hubble-relay.cilium.io")
	agent := hubbletest.New(t, hubbletest.Options{})
	mutual, oneWay := agent.ServeMTLS("", server), agent.ServeTLS("", server)
	agent.Send(run(0, 3)...)
	agent.Flush()

	follow(t, dial(t, mutual, tlsCreds(t, client, client, name)), time.Time{}).flows(3)

	for _, tt := range []struct {
		name  string
		l     *hubbletest.Listener
		creds credentials.TransportCredentials
		want  codes.Code
	}{
		{"mutual", mutual, tlsCreds(t, client, client, name), codes.OK},
		{"one-way", oneWay, tlsCreds(t, client, nil, name), codes.OK},
		{"no client certificate", mutual, tlsCreds(t, client, nil, name), codes.Unavailable},
		{"client of another CA", mutual, tlsCreds(t, client, other.Client("x"), name), codes.Unavailable},
		{"server certificate as client", mutual, tlsCreds(t, client, server, name), codes.Unavailable},
		{"server of another CA", mutual, tlsCreds(t, other.Client("x"), client, name), codes.Unavailable},
		{"node of another cluster", mutual, tlsCreds(t, client, client, "node-1.prod.hubble-grpc.cilium.io"), codes.Unavailable},
		{"no TLS", mutual, plain, codes.Unavailable},
	} {
		wantCode(t, call(t, tt.l, tt.creds), tt.want)
	}
}

func TestRotation(t *testing.T) {
	ca, next := hubbletest.NewCA(t), hubbletest.NewCA(t)
	server, client := ca.Server("*.lab.hubble-grpc.cilium.io"), ca.Client("*.hubble-relay.cilium.io")
	l := hubbletest.New(t, hubbletest.Options{}).ServeMTLS("", server)
	conn := dial(t, l, tlsCreds(t, client, client, name))
	serverStatus(t, conn)

	old := tlsCreds(t, client, client, name)
	before, err := os.ReadFile(client.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	server.Rotate(next)
	client.Rotate(next)
	if after, err := os.ReadFile(client.CertFile); err != nil || string(after) == string(before) {
		t.Errorf("client certificate is the old one (%v)", err)
	}
	serverStatus(t, conn) // what is connected stays so
	wantCode(t, call(t, l, old), codes.Unavailable)
	wantCode(t, call(t, l, tlsCreds(t, client, client, name)), codes.OK)

	server.Expire(next)
	wantCode(t, call(t, l, tlsCreds(t, client, client, name)), codes.Unavailable)
}

func call(t *testing.T, l *hubbletest.Listener, creds credentials.TransportCredentials) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := observerpb.NewObserverClient(dial(t, l, creds)).ServerStatus(ctx, &observerpb.ServerStatusRequest{})
	return err
}

// Package kubetest runs a real kube-apiserver with a real etcd on loopback, for tests of what watches a cluster: objects as
// the API server stores and validates them, its RBAC, its watches and how they end, Cilium's own resource definitions.
//
// A test says what the cluster's components would have written (see [Client]) and what goes wrong ([Server.Kill],
// [Server.Restart], [Gate.Cut]); everything between is Kubernetes' own code.
//
// It refuses to imitate the components that write: there is no scheduler, controller or kubelet here, so a pod has the
// addresses that a test gives it, a Deployment makes no ReplicaSet, and a deleted namespace stays Terminating forever.
// Every test therefore takes namespaces of its own.
package kubetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Families are the address families of a cluster.
type Families int

// A cluster of IPv6 alone has an API server that listens on [::1]. One of both has IPv4 first, as most that were made
// dual-stack later, and an API server on 127.0.0.1.
const (
	IPv6Only Families = iota
	DualStack
)

// serviceRanges are those of a cluster's services.
var serviceRanges = map[Families]string{
	IPv6Only:  "fd00:10:96::/112",
	DualStack: "10.96.0.0/16,fd00:10:96::/112",
}

// Options describe one server.
type Options struct {
	Families Families
	// Args are more flags of kube-apiserver; they win over those that it gets anyway.
	Args []string
}

// patience is how long a server may take for anything. On a machine with nothing else to do it starts in three seconds.
const patience = 2 * time.Minute

// adminToken is no secret: the server listens on loopback, and only while the test runs.
const adminToken = "admin"

// Server is an API server and its etcd. Its methods may be called from any goroutine, one at a time.
type Server struct {
	opts Options
	dir  string
	port *port
	etcd *process

	mu  sync.Mutex
	api *process // nil while it is down
}

// New returns a running server that ends with the test, and shows what it logged when the test has failed.
func New(t testing.TB, opts Options) *Server {
	t.Helper()
	s, err := Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Log())
		}
		s.Stop()
	})
	return s
}

// Start returns a running server, for whoever shares it among tests; it ends with Stop. An error says what was logged.
func Start(opts Options) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := makeDir()
	if err != nil {
		return nil, err
	}
	s := &Server{opts: opts, dir: dir}
	if err := s.start(bin); err != nil {
		err = fmt.Errorf("%w\n%s", err, s.Log())
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Server) start(binaries string) error {
	if err := s.writeFiles(); err != nil {
		return err
	}
	host := "::1"
	if s.opts.Families == DualStack {
		host = "127.0.0.1"
	}
	var err error
	if s.port, err = takePort(host); err != nil {
		return err
	}
	s.etcd = &process{
		path: filepath.Join(binaries, "etcd"),
		args: []string{"-data-dir", s.file("etcd"), "-listen-client-url", "unix://" + s.file("etcd.sock"), "-listen-peer-url", "unix://" + s.file("peer.sock")},
		log:  s.file("etcd.log"),
	}
	if err := s.etcd.start(); err != nil {
		return err
	}
	s.api = &process{
		path: filepath.Join(binaries, "kube-apiserver"),
		args: slices.Concat([]string{
			"--etcd-servers=unix://" + s.file("etcd.sock"),
			"--cert-dir=" + s.file("certs"),
			"--bind-address=" + host,
			"--advertise-address=" + host,
			"--secure-port=" + strconv.Itoa(s.port.number),
			"--permit-port-sharing", // with the socket that keeps the port: see port
			"--service-cluster-ip-range=" + serviceRanges[s.opts.Families],
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + s.file("accounts.pem"),
			"--service-account-signing-key-file=" + s.file("accounts.pem"),
			"--token-auth-file=" + s.file("tokens.csv"),
			"--authorization-mode=RBAC",
			"--disable-admission-plugins=ServiceAccount", // nothing here makes the default account that every pod would need
			"--enable-priority-and-fairness=false",
			"--endpoint-reconciler-type=none",
		}, s.opts.Args),
		log: s.file("kube-apiserver.log"),
	}
	if err := s.api.start(); err != nil {
		return err
	}
	return s.waitReady()
}

// writeFiles writes what kube-apiserver reads: the key that signs the tokens of ServiceAccounts, and the admin's token.
func (s *Server) writeFiles() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.file("accounts.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(s.file("tokens.csv"), []byte(adminToken+",admin,1,system:masters\n"), 0o600)
}

// waitReady returns when the API server says that it is ready.
func (s *Server) waitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := s.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.api.done:
			return fmt.Errorf("kube-apiserver ended before it was ready: %w", s.api.err)
		case <-ctx.Done():
			return fmt.Errorf("kube-apiserver is not ready after %v: %w", patience, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *Server) ready(ctx context.Context) error {
	config, err := s.config()
	if err != nil {
		return err
	}
	config.Timeout = 10 * time.Second
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	return client.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

// Kill ends the API server as SIGKILL does; etcd stays. It returns when the process is gone.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.api.kill()
}

// Restart kills the API server, if it still runs, and brings it back with the same port, data and certificate. It returns
// when the server is ready.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.api.kill()
	if err := s.api.start(); err != nil {
		t.Fatal(err)
	}
	if err := s.waitReady(); err != nil {
		t.Fatalf("%v\n%s", err, s.Log())
	}
}

// Stop ends the server and removes all that it wrote.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range []*process{s.api, s.etcd} {
		p.kill()
	}
	s.port.free()
	os.RemoveAll(s.dir)
}

// PID is the API server's, for whoever measures it.
func (s *Server) PID() int { return s.api.cmd.Process.Pid }

// URL is where the API server listens.
func (s *Server) URL() string { return "https://" + s.port.address }

// Config connects as an administrator who may do everything.
func (s *Server) Config(t testing.TB) *rest.Config {
	t.Helper()
	config, err := s.config()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func (s *Server) config() (*rest.Config, error) {
	if _, err := os.Stat(s.caFile()); err != nil {
		return nil, err
	}
	return &rest.Config{
		Host:            s.URL(),
		BearerToken:     adminToken,
		TLSClientConfig: rest.TLSClientConfig{CAFile: s.caFile()},
		QPS:             -1,
		WarningHandler:  rest.NoWarnings{},
	}, nil
}

// caFile holds the certificate that the API server made for itself.
func (s *Server) caFile() string { return filepath.Join(s.file("certs"), "apiserver.crt") }

func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }

// Log is the end of what the processes said went wrong.
func (s *Server) Log() string {
	var all bytes.Buffer
	for _, name := range []string{"etcd.log", "kube-apiserver.log"} {
		text, err := os.ReadFile(s.file(name))
		if err != nil {
			text = []byte(err.Error())
		}
		text = chatter.ReplaceAll(text, nil)
		const most = 5_000
		if len(text) > most {
			text = text[len(text)-most:]
		}
		fmt.Fprintf(&all, "--- the end of %s\n%s\n", name, text)
	}
	return all.String()
}

// chatter are a log's lines of information, and warnings, of which every start has dozens.
var chatter = regexp.MustCompile(`(?m)^[IW][0-9]{4} .*\n`)

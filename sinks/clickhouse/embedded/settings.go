package embedded

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"text/template"
)

const (
	userName     = "sextant"
	storeDir     = "store" // what ClickHouse writes
	configFile   = "config.xml"
	usersFile    = "users.xml"
	passwordFile = "password"
)

// Both files are generated at every start: they follow this program, not the data.
var (
	//go:embed config.xml.tmpl
	configText string
	//go:embed users.xml.tmpl
	usersText string

	configTemplate = parse(configText)
	usersTemplate  = parse(usersText)
)

func parse(text string) *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{"xml": escape}).Parse(text))
}

func escape(s string) (string, error) {
	var b bytes.Buffer
	err := xml.EscapeText(&b, []byte(s))
	return b.String(), err
}

// path returns the absolute path of a file in the data directory.
func (s *Server) path(name string) string {
	dir, err := filepath.Abs(s.cfg.Dir)
	if err != nil {
		dir = s.cfg.Dir // no working directory: the first use will say so
	}
	return filepath.Join(dir, name)
}

// writeSettings writes the files that the next child reads.
func (s *Server) writeSettings() error {
	// The engine's own logs are not attached again by clickhouse-local, and what
	// is left of them keeps it from writing new ones.
	if s.cfg.Engine.Library {
		if err := os.RemoveAll(filepath.Join(s.path(storeDir), "data", "system")); err != nil {
			return fmt.Errorf("clear engine logs: %w", err)
		}
	}
	password, err := os.ReadFile(s.path(passwordFile))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(bytes.TrimSpace(password))
	state, extra := s.State(), ""
	if s.cfg.Extra != nil {
		extra = s.cfg.Extra()
	}
	data := map[string]any{
		"Library":      s.cfg.Engine.Library,
		"Open":         s.cfg.Open,
		"Host":         loopback(),
		"HTTPPort":     portOf(state.HTTP),
		"NativePort":   portOf(state.Native),
		"Store":        s.path(storeDir),
		"Users":        s.path(usersFile),
		"User":         userName,
		"PasswordHash": hex.EncodeToString(sum[:]),
		"Extra":        extra,
	}
	return errors.Join(
		render(configTemplate, data, s.path(configFile)),
		render(usersTemplate, data, s.path(usersFile)),
	)
}

func render(t *template.Template, data any, path string) error {
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return replace(path, b.Bytes())
}

// ensurePassword makes sure that the file holds a password and returns its path.
func ensurePassword(path string) (string, error) {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return path, err
	}
	return path, replace(path, []byte(rand.Text()+"\n"))
}

// choosePorts fills in the addresses unless they are known; fresh means that a
// port was chosen here.
func (s *Server) choosePorts() (fresh bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Native != "" {
		return false, nil
	}
	native, http := s.cfg.NativePort, s.cfg.HTTPPort
	for _, port := range []*int{&native, &http} {
		for *port == 0 {
			fresh = true
			if *port, err = freePort(); err != nil {
				return fresh, err
			}
			if native == http {
				*port = 0
			}
		}
	}
	s.state.Native, s.state.HTTP = address(native), address(http)
	return fresh, nil
}

func (s *Server) forgetPorts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Native, s.state.HTTP = "", ""
}

// freePort finds a port below those that the system hands out by itself (from
// 32768 on): an engine that is away for a while must find its port free again.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := 20000 + mathrand.IntN(12000)
		var l net.Listener
		if l, err = net.Listen("tcp", address(port)); err == nil {
			l.Close()
			return port, nil
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

func address(port int) string { return net.JoinHostPort(loopback(), strconv.Itoa(port)) }

// loopback is 127.0.0.1, or ::1 on a machine that has no IPv4 at all.
func loopback() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
		return "::1"
	}
	if err == nil {
		l.Close()
	}
	return "127.0.0.1"
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

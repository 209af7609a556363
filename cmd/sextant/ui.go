package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/dashboards/page"
	"sextant/sinks/clickhouse"
)

type uiConfig struct {
	Enabled bool   `yaml:"enabled" flag:"ui" doc:"serve the dashboards as a page, drawn from what ClickHouse holds"`
	Listen  string `yaml:"listen" flag:"ui-listen" doc:"address of that page; it knows no users: whoever reaches it reads the history"`
}

func defaultUI() uiConfig { return uiConfig{Listen: "localhost:9647"} }

// serveUI listens at once, so that a port in use ends the start, and serves the page until the returned function is called.
func serveUI(cfg uiConfig, store clickhouse.Config, registry *prometheus.Registry, logger *slog.Logger) (addr string, stop func(), err error) {
	if !cfg.Enabled {
		return "", func() {}, nil
	}
	host, _, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return "", nil, fmt.Errorf("ui.listen: %w", err)
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return "", nil, fmt.Errorf("listen for the page (ui.listen): %w", err)
	}
	loopback := l.Addr().(*net.TCPAddr).IP.IsLoopback()
	if !loopback {
		logger.Warn("the page shows the history to whoever reaches it", "ui.listen", cfg.Listen, "host", host)
	}
	p, err := page.New(page.Config{Store: store, Live: registry, Open: !loopback, Database: store.Database, Logger: logger})
	if err != nil {
		return "", nil, errors.Join(err, l.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = p.Run(ctx) }) // ends with ctx, and says just that
	server := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	group.Go(func() { _ = server.Serve(l) }) // ends with Shutdown, and says just that
	return l.Addr().String(), func() {
		cancel()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
			_ = server.Close()
		}
		group.Wait()
		_ = p.Close() // nothing is left that could fail
	}, nil
}

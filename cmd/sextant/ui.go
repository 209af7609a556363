package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/dashboards/page"
	"sextant/sinks/clickhouse"
)

type uiConfig struct {
	Enabled bool          `yaml:"enabled" flag:"ui" doc:"serve the dashboards as a page, drawn from what ClickHouse holds"`
	Listen  string        `yaml:"listen" flag:"ui-listen" doc:"address of that page; it knows no users: whoever reaches it reads the history"`
	Range   time.Duration `yaml:"range" doc:"stretch of time that the page shows first"`
}

func defaultUI() uiConfig { return uiConfig{Listen: "localhost:9647", Range: time.Hour} }

// serveUI listens at once, so that a port in use ends the start, and serves the page until the returned function is called.
func serveUI(cfg uiConfig, store clickhouse.Config, registry *prometheus.Registry, logger *slog.Logger) (addr string, stop func(), err error) {
	if !cfg.Enabled {
		return "", func() {}, nil
	}
	listeners, err := listen(cfg.Listen)
	if err != nil {
		return "", nil, fmt.Errorf("listen for the page (ui.listen): %w; --ui-listen names another address", err)
	}
	open := !listeners.loopback()
	if open {
		logger.Warn("the page shows the history to whoever reaches it", "listen", cfg.Listen)
	}
	p, err := page.New(page.Config{Store: store, Live: registry, Open: open, Database: store.Database, Range: cfg.Range, Logger: logger})
	if err != nil {
		return "", nil, errors.Join(err, listeners.close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = p.Run(ctx) }) // ends with ctx, and says just that
	// A question has its own end, well before that of the answer.
	server := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute}
	for _, l := range listeners {
		group.Go(func() { _ = server.Serve(l) }) // ends with Shutdown, and says just that
	}
	return listeners[0].Addr().String(), func() {
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

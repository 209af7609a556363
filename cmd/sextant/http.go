package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

type httpConfig struct {
	Listen string `yaml:"listen" flag:"listen" doc:"address of /metrics, /healthz and /readyz"`
	Pprof  bool   `yaml:"pprof" flag:"pprof" doc:"also serve Go's profiles on /debug/pprof"`
}

func defaultHTTP() httpConfig { return httpConfig{Listen: ":9646"} }

// serveHTTP listens at once, so that a port in use ends the start, and serves until the returned function is called.
func serveHTTP(cfg httpConfig, reg *prometheus.Registry, ready func() error) (addr string, stop func(), err error) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { respond(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { respond(w, ready()) })
	if cfg.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	all, err := listen(cfg.Listen)
	if err != nil {
		return "", nil, fmt.Errorf("listen for /metrics (http.listen): %w; --listen names another address", err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	for _, l := range all {
		go func() { _ = server.Serve(l) }() // ends with Shutdown, and says just that
	}
	return all[0].Addr().String(), func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
			_ = server.Close()
		}
	}, nil
}

func respond(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "not ready: %v\n", err)
		return
	}
	fmt.Fprintln(w, "ok")
}

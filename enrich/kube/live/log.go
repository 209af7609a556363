package live

import (
	"context"
	"log/slog"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// QuietClientGo lets all that client-go logs go to logger as debug, and nothing to standard error. It is a setting of the
// whole process: the command calls it once, before anything else of client-go runs. What the watches of this package cause
// goes to their own logger without it.
func QuietClientGo(logger *slog.Logger) {
	klog.SetSlogLogger(slog.New(debug{logger.Handler()}))
}

// withLog lets what client-go logs on behalf of ctx go to logger as debug.
func withLog(ctx context.Context, logger *slog.Logger) context.Context {
	return klog.NewContext(ctx, logr.FromSlogHandler(debug{logger.Handler()}))
}

// debug is a handler that takes everything for debug: what client-go calls an error is one try of many to us, and is told
// by the watch that it belongs to.
type debug struct{ slog.Handler }

// verbose is client-go's V(4), the last level that speaks of events and not of bytes.
const verbose = slog.Level(-4)

// Enabled implements slog.Handler.
func (d debug) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= verbose && d.Handler.Enabled(ctx, slog.LevelDebug)
}

// Handle implements slog.Handler. Errors come without the question whether they are wanted.
func (d debug) Handle(ctx context.Context, r slog.Record) error {
	if !d.Enabled(ctx, r.Level) {
		return nil
	}
	r.Level = slog.LevelDebug
	return d.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (d debug) WithAttrs(attrs []slog.Attr) slog.Handler { return debug{d.Handler.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (d debug) WithGroup(name string) slog.Handler { return debug{d.Handler.WithGroup(name)} }

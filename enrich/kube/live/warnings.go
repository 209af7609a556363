package live

import (
	"context"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// maxWarnings bounds how many different warnings are logged.
const maxWarnings = 100

// warnings logs what an API server warns of, each once: it says the same with every answer.
type warnings struct {
	logger *slog.Logger
	count  prometheus.Counter

	mu   sync.Mutex
	said map[string]struct{}
}

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, _ int, _, text string) {
	if text == "" {
		return
	}
	w.count.Inc()
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, said := w.said[text]; said || len(w.said) >= maxWarnings {
		return
	}
	w.said[text] = struct{}{}
	w.logger.Warn("kubernetes warns", "text", text)
}

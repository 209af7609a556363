package live_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"k8s.io/klog/v2"

	"sextant/enrich/kube/live"
)

// What client-go calls an error is debug to us; what speaks of bytes is nothing.
func TestQuietClientGo(t *testing.T) {
	defer klog.ClearLogger()
	for level, want := range map[slog.Level]string{
		slog.LevelInfo:  "",
		slog.LevelDebug: "level=DEBUG msg=broken err=x\nlevel=DEBUG msg=fine a=1\n",
	} {
		var text bytes.Buffer
		live.QuietClientGo(slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})))
		klog.Background().Error(errors.New("x"), "broken")
		klog.Background().Info("fine", "a", 1)
		klog.Background().V(9).Info("bytes")
		if got := text.String(); strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%s: %q, want %q", level, got, want)
		}
	}
}

package embedded

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBackoff(t *testing.T) {
	var b backoff
	var got []string
	for range 9 {
		got = append(got, b.next(time.Second).String())
	}
	got = append(got, b.next(time.Hour).String(), b.next(0).String())
	want := []string{"100ms", "200ms", "400ms", "800ms", "1.6s", "3.2s", "6.4s", "10s", "10s", "100ms", "200ms"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("delays (-want +got)\n%s", diff)
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var tl tail
	for range 3 {
		_, _ = tl.Write(make([]byte, tailSize))
	}
	_, _ = tl.Write([]byte("last words"))
	if got := tl.String(); len(got) != tailSize || got[tailSize-10:] != "last words" {
		t.Errorf("kept %d bytes ending in %q", len(got), got[max(0, len(got)-10):])
	}
}

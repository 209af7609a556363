package track_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/collector/track"
)

// live is a stage that is fed flows of which the first comes now, with the clock of the test bubble.
type live struct {
	*rig
	stage *track.Stage
	begin time.Time
}

func newLive(t testing.TB) *live {
	rig := newRig(t)
	return &live{rig, track.New(track.Default(), rig.names), time.Now()}
}

// at waits until so many seconds have passed, feeds the flows of that time and returns what Flush then tells.
func (l *live) at(second float64, lines ...string) []string {
	l.Helper()
	time.Sleep(time.Until(l.begin.Add(time.Duration(second * 1e9))))
	b := flow.Batch{Records: l.records(lines...)}
	l.stage.Process(&b)
	l.stage.Flush(&b, false)
	return briefs(b.Connections)
}

// TestFlush: a connection is told when it is over and what may still come has come.
func TestFlush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLive(t)
		for _, c := range []struct {
			second float64
			flows  []string
			want   []string
		}{
			{1, []string{
				"1 n1 STACK NEW tcp:S web6:40000 > www6:443", "1 n1 ENDPOINT REPLY tcp:S. www6:443 > web6:40000",
				"1 n1 STACK NEW tcp:S web6:40001 > www6:443", "1 n1 ENDPOINT REPLY tcp:R www6:443 > web6:40001",
				"1 n1 STACK NEW tcp:S web6:40002 > www6:443",
				"1 n1 STACK NEW udp web6:40003 > www6:443",
				"1 n1 STACK NEW icmpv6:128 web6 > www6",
				"1 n1 STACK NEW tcp:S web6:40004 > cdn6:443 name=cdn.example", "1 n1 ENDPOINT REPLY tcp:R cdn6:443 > web6:40004",
				"1 n1 VERDICT NEW tcp:S web6:40005 > www6:443",
				"1 n2 STACK NEW udp db6:40000 > www6:53",
			}, nil},
			{15.9, nil, nil},
			{16.1, nil, []string{"tcp web6:40001>www6:443 refused source"}}, // 10 s after its end, and the merge window
			{25, []string{"25 n1 STACK EST icmpv6:128 web6 > www6"}, nil},
			{26.2, nil, []string{"tcp web6:40004>cdn6:443 refused source cdn.example"}}, // IPv4 might have followed for 10 s, and taken 10 s
			{30, []string{"30 n1 STACK EST udp web6:40003 > www6:443"}, nil},
			{66.1, nil, []string{
				"tcp web6:40002>www6:443 unanswered source",
				"icmpv6 web6:0>www6:0 unanswered source", // its minute is over, though it goes on
				"udp db6:40000>www6:53 unanswered source",
			}},
			{96, nil, []string{"udp web6:40003>www6:443 unanswered source"}},
			{306, nil, nil},
			{306.2, nil, []string{"tcp web6:40000>www6:443 answered source"}},
		} {
			got := l.at(c.second, c.flows...)
			if diff := cmp.Diff(sorted(c.want), sorted(got)); diff != "" {
				t.Errorf("second %v (-want +got):\n%s", c.second, diff)
			}
		}
		if st := l.stage.Stats(); st.Held != 0 || st.Evicted != 0 {
			t.Errorf("%+v, want nothing held", st)
		}
	})
}

func sorted(list []string) string {
	m := map[string]int{}
	for _, s := range list {
		m[s]++
	}
	return fmt.Sprint(m)
}

// TestFlushRecorded: flows that come faster than they happened make time pass, too.
func TestFlushRecorded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLive(t)
		got := l.at(0,
			"1 n1 STACK NEW udp web6:40000 > www6:443",
			"100 n1 STACK NEW udp web6:40001 > www6:443")
		if diff := cmp.Diff([]string{"udp web6:40000>www6:443 unanswered source"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// TestClocks: a node whose clock is wrong ends nobody else's connections.
func TestClocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLive(t)
		if got := l.at(1, "1 n1 STACK NEW tcp:S web6:40000 > www6:443", "500000000 n2 STACK NEW tcp:S db6:40000 > www6:443"); len(got) > 0 {
			t.Errorf("told at once: %s", got)
		}
		if got := l.at(50, "50 n1 ENDPOINT REPLY tcp:S. www6:443 > web6:40000", "-100000 n2 STACK NEW udp db6:40000 > www6:443"); len(got) > 0 {
			t.Errorf("told too early: %s", got)
		}
		if got := l.at(67, "67 n1 STACK EST tcp:. web6:40000 > www6:443"); len(got) != 1 || !strings.Contains(got[0], "tcp db6:40000") {
			t.Errorf("got %s, want what n2 began first, a minute later", got)
		}
	})
}

// TestCapacity: however many there are, no more are held than may be, all are told once, and the oldest first.
func TestCapacity(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	cfg := track.Default()
	cfg.Capacity = 100
	stage := track.New(cfg, rig.names)
	told := map[string]bool{}
	var order []string
	for i := range 1000 {
		b := flow.Batch{Records: rig.records(fmt.Sprintf("%d n1 STACK NEW udp web6:%d > www6:443", i/100, 10000+i))}
		stage.Process(&b)
		if held := stage.Stats().Held; held > cfg.Capacity {
			t.Fatalf("%d held, the cap is %d", held, cfg.Capacity)
		}
		for _, text := range briefs(b.Connections) {
			if told[text] {
				t.Errorf("%s is told twice", text)
			}
			told[text] = true
			order = append(order, text)
		}
	}
	if want := "udp web6:10000>www6:443 unanswered source"; len(order) == 0 || order[0] != want {
		t.Errorf("the first told is %v, want %s", order[:1], want)
	}
	if st := stage.Stats(); st.Evicted != uint64(len(order)) || len(order) != 900 {
		t.Errorf("%+v and %d told early, want 900", st, len(order))
	}
	var rest flow.Batch
	stage.Flush(&rest, true)
	if len(rest.Connections) != 100 || stage.Stats().Held != 0 {
		t.Errorf("%d told at the end, %d still held", len(rest.Connections), stage.Stats().Held)
	}
}

// TestFullOfEnded: what makes room because it is over anyway is not told early.
func TestFullOfEnded(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	cfg := track.Default()
	cfg.Capacity = 1
	stage := track.New(cfg, rig.names)
	b := flow.Batch{Records: rig.records("1 n1 STACK NEW udp web6:1 > www6:443", "1000 n1 STACK NEW udp web6:2 > www6:443", "1001 n1 STACK NEW udp web6:3 > www6:443")}
	stage.Process(&b)
	if st := stage.Stats(); st.Evicted != 1 || len(b.Connections) != 2 {
		t.Errorf("%+v and %d told, want 1 told early and 1 that was over", st, len(b.Connections))
	}
}

// TestConcurrent: streams and flushes at once lose nothing. The race detector has its say here.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	stage := track.New(track.Default(), rig.names)
	stage.AAAA = answers{}
	const streams, each = 4, 500
	var mu sync.Mutex
	counted, told := 0, 0
	done := func(b *flow.Batch) {
		mu.Lock()
		defer mu.Unlock()
		told += len(b.Connections)
		for i := range b.Records {
			if b.Records[i].Counted {
				counted++
			}
		}
	}
	var wg sync.WaitGroup
	for s := range streams {
		wg.Go(func() {
			for i := range each {
				port := 1024 + s*each + i
				b := flow.Batch{Records: rig.records(
					fmt.Sprintf("%d.0 n1 STACK NEW tcp:S web6:%d > cdn6:443 name=cdn.example", i, port),
					fmt.Sprintf("%d.1 n1 NETWORK NEW tcp:S n16:%d > cdn6:443 from=1000", i, port),
					fmt.Sprintf("%d.1 n1 ENDPOINT REPLY tcp:R. cdn6:443 > web6:%d name=cdn.example", i, port),
					fmt.Sprintf("%d.2 n1 STACK NEW tcp:S web:%d > cdn:443 name=cdn.example", i, port),
					fmt.Sprintf("%d.3 n1 ENDPOINT REPLY tcp:S. cdn:443 > web:%d name=cdn.example", i, port),
					fmt.Sprintf("%d.3 n1 DROP - udp cdn6:53 > web6:%d reason=NO_ROUTE", i, port),
				)}
				stage.Process(&b)
				done(&b)
			}
		})
	}
	wg.Go(func() {
		for range 50 {
			var b flow.Batch
			stage.Flush(&b, false)
			done(&b)
		}
	})
	wg.Wait()
	var last flow.Batch
	stage.Flush(&last, true)
	done(&last)
	if want := 3 * streams * each; counted != want || told != want {
		t.Errorf("%d counted and %d told, want %d", counted, told, want)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if err := track.Default().Validate(); err != nil {
		t.Errorf("the default is not valid: %v", err)
	}
	got := track.Config{MergeWindow: -time.Second, TCPIdle: 48 * time.Hour, UDPIdle: time.Minute, ICMPWindow: time.Minute, HappyEyeballs: time.Hour}.Validate()
	want := `track.capacity: must be from 1 to 67108864, is 0
track.merge_window: must be from 0s to 1m0s, is -1s
track.tcp_idle: must be from 1s to 24h0m0s, is 48h0m0s
track.denied_window: must be from 1s to 24h0m0s, is 0s
track.happy_eyeballs: must be from 0s to 5m0s, is 1h0m0s`
	if got == nil || got.Error() != want {
		t.Errorf("got %v", got)
	}
}

// TestHeld: what is held is told as it would be at an end, and stays as it is.
func TestHeld(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	flows := rig.records(
		"1.0 n1 STACK NEW tcp:S web6:40000 > www6:443",
		"1.1 n1 ENDPOINT REPLY tcp:R www6:443 > web6:40000",
		"1.2 n1 STACK NEW tcp:S web:40001 > www:443",
		"1.3 n1 ENDPOINT REPLY tcp:S. www:443 > web:40001",
		"1.4 n1 NETWORK NEW tcp:S n16:40000 > www6:443 from=1000",
		"2.0 n1 PROXY NEW tcp:S web6:40002 > www6:443",
		"2.1 n1 STACK NEW tcp:S web6:50000 > www6:443",
	)
	watched, alone := track.New(track.Default(), rig.names), track.New(track.Default(), rig.names)
	for i := range flows {
		watched.Process(&flow.Batch{Records: []flow.Record{flows[i]}})
		var held, want flow.Batch
		watched.Held(&held)
		until := track.New(track.Default(), rig.names)
		until.Process(&flow.Batch{Records: append([]flow.Record(nil), flows[:i+1]...)})
		until.Flush(&want, true)
		if diff := cmp.Diff(sorted(lines(want.Connections)), sorted(lines(held.Connections))); diff != "" {
			t.Errorf("held after %d flows (-want +got):\n%s", i+1, diff)
		}
	}
	alone.Process(&flow.Batch{Records: append([]flow.Record(nil), flows...)})
	var got, want flow.Batch
	watched.Flush(&got, true)
	alone.Flush(&want, true)
	if diff := cmp.Diff(sorted(lines(want.Connections)), sorted(lines(got.Connections))); diff != "" {
		t.Errorf("told at the end (-want +got):\n%s", diff)
	}
}

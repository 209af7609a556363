package spool_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/sinks/spool"
)

// childEnv holds the directory of a test that starts this binary as a collector, and kills it.
const childEnv = "SEXTANT_SPOOL_CHILD"

// journal is a sink that notes what it has stored in a file, each delivery in a line: its token, whether it may have come
// before, and the sum of its rows.
type journal struct {
	file  *os.File
	fault func() (before, after error)
}

func (j *journal) Write(_ context.Context, d collector.Delivery) error {
	before, after := j.fault()
	if before != nil {
		return before
	}
	if _, err := fmt.Fprintln(j.file, d.Token, d.Tried, sum(d.Batches)); err != nil {
		return err
	}
	return after
}

func sum(batches []*flow.Batch) string {
	hash := sha256.New()
	for _, b := range batches {
		for i := range b.Records {
			r := &b.Records[i]
			hash.Write(r.UUID[:])
			hash.Write([]byte{byte(r.AggregatedFlows), byte(r.Source.Port)})
		}
	}
	return fmt.Sprintf("%x", hash.Sum(nil)[:8])
}

// child spools until it is killed, and says which deliveries were taken.
func child() {
	dir := os.Getenv(childEnv)
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	file, err := os.OpenFile(filepath.Join(dir, "journal"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	fail(err)
	var inner *journal
	if os.Getenv("AWAY") != "" {
		inner = &journal{file, func() (error, error) { return errAway, nil }}
	} else {
		r := rand.New(rand.NewPCG(uint64(os.Getpid()), 0))
		inner = &journal{file, func() (error, error) {
			switch r.IntN(10) {
			case 0:
				return errAway, nil
			case 1:
				return nil, errAway
			}
			return nil, nil
		}}
	}
	names := flow.NewInterner()
	cfg := spool.Default()
	cfg.Dir = filepath.Join(dir, "spool")
	s, err := spool.Open(cfg, inner, names, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	fail(err)
	go s.Run(context.Background()) //nolint:errcheck // it has none
	for i := 0; ; i++ {
		fail(s.Write(context.Background(), collector.Delivery{
			Token: fmt.Sprintf("%s-%d", os.Getenv("ROUND"), i), Batches: []*flow.Batch{numbered(names, "worker", i, 50+i%7*500)},
		}))
		fmt.Printf("%s-%d.\n", os.Getenv("ROUND"), i) // the dot says that it is whole
	}
}

// A collector that is killed at any moment has lost nothing that it took, and whoever replays it says which deliveries may
// have come before.
func TestKilled(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	var taken []string
	for round := range 20 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir, fmt.Sprintf("ROUND=r%d", round))
		if r.IntN(2) == 0 {
			cmd.Env = append(cmd.Env, "AWAY=1")
		}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// At some time, which may be while it starts, or among the deliveries.
		killAt := 1 + r.IntN(40)
		if round%2 == 0 {
			time.AfterFunc(time.Duration(r.IntN(150))*time.Millisecond, func() { cmd.Process.Kill() })
			killAt = math.MaxInt
		}
		scanner := bufio.NewScanner(out)
		for n := 0; scanner.Scan(); n++ {
			if token, whole := strings.CutSuffix(scanner.Text(), "."); whole {
				taken = append(taken, token)
			}
			if n == killAt {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		if stderr.Len() > 0 {
			t.Fatalf("round %d: %s", round, &stderr)
		}
	}

	cfg := spool.Default()
	cfg.Dir = filepath.Join(dir, "spool")
	file, err := os.OpenFile(filepath.Join(dir, "journal"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	o := open(t, cfg, &journal{file, func() (error, error) { return nil, nil }})
	waited, _ := o.Waiting()
	o.run(t)
	o.drained(t)

	stored := map[string]string{}
	again := 0
	for _, line := range lines(t, file.Name()) {
		var token, tried, sum string
		if _, err := fmt.Sscan(line, &token, &tried, &sum); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		switch first, known := stored[token]; {
		case !known:
			stored[token] = sum
		case first != sum:
			t.Errorf("%s came back as other rows", token)
		case tried != "true":
			t.Errorf("%s came again without a word", token)
		default:
			again++
		}
	}
	names := flow.NewInterner()
	for _, token := range taken {
		var round, i int
		if _, err := fmt.Sscanf(token, "r%d-%d", &round, &i); err != nil {
			t.Fatal(err)
		}
		if want := sum([]*flow.Batch{numbered(names, "worker", i, 50+i%7*500)}); stored[token] != want {
			t.Errorf("%s was taken, and is %q, want %q", token, stored[token], want)
		}
	}
	t.Logf("%d deliveries were taken, %d came again, %d waited at the end, %d holes", len(taken), again, waited, int(o.metric(t, "damaged_total")))
	if len(taken) < 100 {
		t.Errorf("only %d deliveries were taken", len(taken))
	}
}

func lines(t *testing.T, path string) (lines []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"iter"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"sextant/collector/sysdump/sysdumptest"
)

// packSysdump is the script command `sysdump TARGET [CHANGE…]`: it writes what cilium sysdump would have written of the
// recorded cluster, into an archive if TARGET ends with .zip, and else unpacked. Changes are without=PATTERN (files whose
// name fits are not there), add=PATTERN=TEXT (the text stands at their end) and head=PATTERN=N (they have N lines).
func packSysdump(ts *testscript.TestScript, _ bool, args []string) {
	demo := os.DirFS(ts.Getenv("DEMO"))
	files, err := sysdumptest.New(demo, "state/*.yaml")
	ts.Check(err)
	for pod, name := range map[string]string{"cilium-4qk7d": "node-1.jsonl.gz", "cilium-x7k2p": "node-2.jsonl.gz"} {
		recording, err := demo.Open(name)
		ts.Check(err)
		unpacked, err := gzip.NewReader(recording)
		ts.Check(err)
		lines, err := io.ReadAll(unpacked)
		ts.Check(err)
		ts.Check(recording.Close())
		files.AddFlows(pod, lines)
	}
	for _, change := range args[1:] {
		what, rest, _ := strings.Cut(change, "=")
		pattern, text, _ := strings.Cut(rest, "=")
		fits := 0
		for name := range files {
			if ok, err := path.Match(pattern, path.Base(name)); err != nil || !ok {
				continue
			}
			fits++
			switch what {
			case "without":
				delete(files, name)
			case "add":
				files[name] = append(bytes.Clone(files[name]), text...)
			case "head":
				n, err := strconv.Atoi(text)
				ts.Check(err)
				files[name] = bytes.Join(slices.Collect(head(n, bytes.Lines(files[name]))), nil)
			default:
				ts.Fatalf("%s is none of without, add and head", what)
			}
		}
		if fits == 0 {
			ts.Fatalf("%s fits no file", change)
		}
	}
	target := ts.MkAbs(args[0])
	if !strings.HasSuffix(target, ".zip") {
		ts.Check(files.Unpack(target))
		return
	}
	archive, err := files.Zip()
	ts.Check(err)
	ts.Check(os.WriteFile(target, archive, 0o600))
}

func head[T any](n int, all iter.Seq[T]) iter.Seq[T] {
	return func(yield func(T) bool) {
		for v := range all {
			if n--; n < 0 || !yield(v) {
				return
			}
		}
	}
}

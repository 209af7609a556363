package embedded_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"sextant/sinks/clickhouse/embedded"
)

func TestFind(t *testing.T) {
	home := t.TempDir()
	lib := func(cache string) string {
		arch := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
		os_ := map[string]string{"linux": "linux-" + arch + "-gnu", "darwin": "darwin-" + arch}[runtime.GOOS]
		return touch(t, filepath.Join(home, cache, "node_modules/@chdb/lib-"+os_, "libchdb.so"), 0o644)
	}
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	t.Setenv("HOME", home)
	t.Setenv("PATH", filepath.Join(home, "bin"))
	t.Chdir(home)

	find := func(path string, want embedded.Engine) {
		t.Helper()
		if got, err := embedded.Find(path); got != want || err != nil {
			t.Errorf("found %+v, error %v, want %+v", got, err, want)
		}
	}
	if _, err := embedded.Find(""); !errors.Is(err, embedded.ErrNoEngine) {
		t.Errorf("nothing there: got error %v", err)
	}
	for _, way := range []string{"make engine", "deploy/engine/fetch.sh", "--clickhouse ADDR"} {
		if !strings.Contains(embedded.ErrNoEngine.Error(), way) {
			t.Errorf("error %q does not name %q", embedded.ErrNoEngine, way)
		}
	}

	// From the last place to the first, each one goes before those already there.
	lib("repo/.cache/engine")
	if _, err := embedded.Find(""); !errors.Is(err, embedded.ErrNoEngine) {
		t.Errorf("a .cache in no repository was used: error %v", err)
	}
	if err := os.MkdirAll(filepath.Join(home, "repo/deep/er"), 0o755); err != nil {
		t.Fatal(err)
	}
	module(t, filepath.Join(home, "repo"))
	t.Chdir(filepath.Join(home, "repo/deep/er"))
	find("", embedded.Engine{Path: lib("repo/.cache/engine"), Library: true})
	find("", embedded.Engine{Path: lib("repo/.cache/engine"), Library: true})
	if runtime.GOOS == "linux" { // where the cache folder follows XDG_CACHE_HOME
		find("", embedded.Engine{Path: lib("cache/sextant/engine"), Library: true})
	}
	binary := touch(t, filepath.Join(home, "bin/clickhouse"), 0o755)
	find("", embedded.Engine{Path: binary})
	find(lib("elsewhere"), embedded.Engine{Path: lib("elsewhere"), Library: true})

	for _, path := range []string{"missing.so", home, touch(t, filepath.Join(home, "plain"), 0o644)} {
		if e, err := embedded.Find(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Find(%q) gave %+v and error %v, want an error that names it", path, e, err)
		}
	}
}

// module makes dir the root of a checkout of Sextant.
func module(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module sextant\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFindRunsNoStrangersCode(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	root := t.TempDir()
	module(t, root)
	for _, dir := range []string{"lib-linux-x64-gnu", "lib-linux-arm64-gnu"} {
		lib := touch(t, filepath.Join(root, ".cache/engine/node_modules/@chdb", dir, "libchdb.so"), 0o644)
		if err := os.Chown(lib, 12345, 12345); err != nil {
			t.Skip(err)
		}
	}
	t.Setenv("XDG_CACHE_HOME", root)
	t.Setenv("PATH", root)
	t.Chdir(root)
	if e, err := embedded.Find(""); err == nil || !strings.Contains(err.Error(), "another user (12345)") {
		t.Errorf("found %+v, error %v", e, err)
	}
}

func touch(t *testing.T, path string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

package embedded

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// Engine is a ClickHouse that can be run here.
type Engine struct {
	Path    string // absolute
	Library bool   // libchdb.so rather than a clickhouse binary
}

const otherWays = "run `make engine` (or deploy/engine/fetch.sh) to get one, or use a server with --clickhouse ADDR"

// ErrNoEngine says that this machine has no engine, and how to get one.
var ErrNoEngine = errors.New("no ClickHouse engine found on this machine: " + otherWays)

// Find looks for an engine: at path if one is given; else as clickhouse or
// clickhouse-server on the PATH; else as libchdb.so where deploy/engine/fetch.sh
// puts it: .cache/engine beside the folder of the executable, sextant/engine in
// the user's cache folder, .cache/engine of the repository that holds the working
// directory. The error is [ErrNoEngine] or says what is wrong with path.
func Find(path string) (Engine, error) {
	if path != "" {
		return given(path)
	}
	for _, name := range []string{"clickhouse", "clickhouse-server"} {
		if found, err := exec.LookPath(name); err == nil {
			return given(found)
		}
	}
	for _, dir := range caches() {
		lib := filepath.Join(dir, "node_modules", "@chdb", platform(), "libchdb.so")
		if info, err := os.Stat(lib); err == nil && info.Mode().IsRegular() {
			return Engine{Path: lib, Library: true}, nil
		}
	}
	root := repository()
	lib := filepath.Join(root, ".cache", "engine", "node_modules", "@chdb", platform(), "libchdb.so")
	if info, err := os.Stat(lib); root != "" && err == nil && info.Mode().IsRegular() {
		// The working directory may be anybody's: run no code that a stranger put there.
		if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 && int(owner) != os.Geteuid() {
			return Engine{}, fmt.Errorf("engine %s belongs to another user (%d): set SEXTANT_ENGINE to its path to use it all the same", lib, owner)
		}
		return Engine{Path: lib, Library: true}, nil
	}
	return Engine{}, ErrNoEngine
}

func given(path string) (Engine, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Engine{}, fmt.Errorf("engine %s: %w", path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return Engine{}, fmt.Errorf("engine %w: give the path of libchdb.so or of a clickhouse binary", err)
	}
	ext := filepath.Ext(path)
	e := Engine{Path: path, Library: ext == ".so" || ext == ".dylib"}
	if !info.Mode().IsRegular() || !e.Library && info.Mode()&0o111 == 0 {
		return Engine{}, fmt.Errorf("engine %s is neither a library nor an executable file: give the path of libchdb.so or of a clickhouse binary", path)
	}
	return e, nil
}

// caches lists the folders that belong to this program or this user.
func caches() []string {
	var dirs []string
	if self, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(self); err == nil {
			self = real
		}
		dirs = append(dirs, filepath.Join(filepath.Dir(self), "..", ".cache", "engine"))
	}
	if dir, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, filepath.Join(dir, "sextant", "engine"))
	}
	return dirs
}

// platform is the name of the npm package for this machine.
func platform() string {
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	name := "lib-" + runtime.GOOS + "-" + arch
	if runtime.GOOS == "linux" {
		name += "-gnu"
	}
	return name
}

// repository is the root of the sextant repository that the working directory is
// in, or "".
func repository() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for {
		if isRoot(filepath.Join(dir, "go.mod")) {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}

func isRoot(gomod string) bool {
	f, err := os.Open(gomod)
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.TrimSpace(lines.Text()) == "module sextant" {
			return true
		}
	}
	return false
}

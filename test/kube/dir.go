package kubetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// inMemory is a file system without a disk, on Linux: etcd writes a lot, and none of it is to last.
const inMemory = "/dev/shm"

// prefix begins the names of the directories; the process that made one follows.
const prefix = "kubetest-"

// makeDir returns a new directory, in memory where there is such a file system. The path is short enough for sockets.
func makeDir() (string, error) {
	base := os.TempDir()
	if info, err := os.Stat(inMemory); err == nil && info.IsDir() {
		base = inMemory
	}
	sweep(base)
	return os.MkdirTemp(base, fmt.Sprintf("%s%d-", prefix, os.Getpid()))
}

// sweep removes the directories of processes that are gone: who was killed could not, and memory is not to fill up.
func sweep(base string) {
	found, _ := filepath.Glob(filepath.Join(base, prefix+"*")) // the pattern is sound
	for _, dir := range found {
		var pid int
		if _, err := fmt.Sscanf(strings.TrimPrefix(filepath.Base(dir), prefix), "%d-", &pid); err != nil {
			continue
		}
		if syscall.Kill(pid, 0) == syscall.ESRCH {
			os.RemoveAll(dir)
		}
	}
}

//go:build (linux || darwin) && (amd64 || arm64) && !static

package embedded

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"
	"golang.org/x/sys/unix"
)

// runLibrary turns this process into a ClickHouse by way of clickhouse-local,
// which is what the library's command line entry is. Its query opens the
// listeners and then reads standard input: that blocks without polling, and when
// the parent closes the pipe, or dies, it ends in the regular way.
func runLibrary(path, config string) error {
	// The library belongs to the thread that called it first.
	runtime.LockOSThread()
	lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return fmt.Errorf("load engine: %w", err)
	}
	var (
		query       func(argc int32, argv unsafe.Pointer) uintptr
		resultError func(result uintptr) string
		handlers    func(enabled bool)
	)
	for name, f := range map[string]any{
		"chdb_query_cmdline":               &query,
		"chdb_result_error":                &resultError,
		"chdb_set_signal_handlers_enabled": &handlers,
	} {
		symbol, err := purego.Dlsym(lib, name)
		if err != nil {
			return fmt.Errorf("load engine %s: %w", path, err)
		}
		purego.RegisterFunc(f, symbol)
	}
	handlers(false) // signals are the Go runtime's

	go exitAfterHangup()
	argv := cStrings("clickhouse", "--config-file="+config,
		"--input-format=LineAsString", "--structure=line String",
		"--query=SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; SELECT count() FROM table FORMAT Null")
	result := query(int32(len(argv)-1), unsafe.Pointer(&argv[0]))
	runtime.KeepAlive(argv)

	if hungUp(0) {
		return nil
	}
	// What went wrong mostly stands on standard error already.
	return errors.New("the engine gave up " + resultError(result))
}

// exitAfterHangup bounds the regular end.
func exitAfterHangup() {
	for !hungUp(-1) {
		time.Sleep(time.Second)
	}
	time.Sleep(stopTimeout)
	fmt.Fprintf(os.Stderr, "did not end within %v\n", stopTimeout)
	os.Exit(1)
}

// hungUp says whether the writer of standard input is gone, waiting for that for
// the given milliseconds (-1: for ever). It reads nothing.
func hungUp(milliseconds int) bool {
	fds := []unix.PollFd{{Fd: int32(os.Stdin.Fd())}}
	n, err := unix.Poll(fds, milliseconds)
	return err == nil && n == 1 && fds[0].Revents&(unix.POLLHUP|unix.POLLNVAL) != 0
}

// cStrings returns a C argument vector, the final null included.
func cStrings(args ...string) []*byte {
	argv := make([]*byte, len(args)+1)
	for i, arg := range args {
		p, err := syscall.BytePtrFromString(arg)
		if err != nil {
			panic(err) // a NUL cannot be in a path or an environment variable
		}
		argv[i] = p
	}
	return argv
}

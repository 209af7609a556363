package kubetest

import "syscall"

// dieWithParent has the kernel end a child whose test was ended by a signal, and so cleaned nothing up.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

package main

import "syscall"

// leash ends a process with this one, however this one ends. The kernel looks at the thread that started it, which lives
// as long as this process: nothing here ends a thread.
func leash() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

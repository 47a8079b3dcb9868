//go:build !linux

package main

import "syscall"

// leash: only Linux ends a process with the one that started it.
func leash() *syscall.SysProcAttr { return nil }

//go:build !linux

package process

import "syscall"

// killedWithParent does nothing: only Linux can kill a child process when its parent exits.
func killedWithParent() *syscall.SysProcAttr { return nil }

package process

import "syscall"

// killedWithParent makes the kernel kill a child process when this process exits, whatever the reason. The kernel watches
// the thread that started the child, not the process. Threads of this program live as long as the process, because it
// never ends one.
func killedWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

package nixbuild

import "syscall"

// tokensFile is how Nix reads the pipe that it inherits. Once read it is empty, so what was in it can be read neither by an
// expression nor in /proc.
const tokensFile = "/proc/self/fd/3"

// endWithParent lets the kernel end a process when its parent is killed: Nix would go on building, and leave links.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGTERM }

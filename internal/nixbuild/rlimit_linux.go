package nixbuild

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// hold sets the bounds of a process that has just begun, and so of what it
// starts. SIGKILL ends it: Nix's garbage collector takes SIGXCPU for its own.
func (b Bounds) hold(pid int) error {
	limits := map[int]unix.Rlimit{}
	if b.Memory > 0 {
		limits[unix.RLIMIT_AS] = unix.Rlimit{Cur: b.Memory, Max: b.Memory}
		limits[unix.RLIMIT_CORE] = unix.Rlimit{} // a dump would be as large
	}
	if b.CPU > 0 {
		seconds := uint64(math.Ceil(b.CPU.Seconds()))
		limits[unix.RLIMIT_CPU] = unix.Rlimit{Cur: seconds, Max: seconds}
	}
	for resource, limit := range limits {
		if err := unix.Prlimit(pid, resource, &limit, nil); err != nil {
			return fmt.Errorf("bounding its resources: %w", err)
		}
	}
	return nil
}

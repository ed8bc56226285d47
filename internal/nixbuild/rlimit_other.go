//go:build !linux

package nixbuild

import "errors"

// hold refuses: only Linux bounds a process that runs.
func (b Bounds) hold(int) error {
	if b == (Bounds{}) {
		return nil
	}
	return errors.New("bounding its resources: this system cannot; set no bounds")
}

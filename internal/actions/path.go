package actions

import (
	"fmt"
	"strings"
)

// AddPath appends a directory to the runner's file of those that later steps have on PATH, before
// their others. It holds no line break.
func AddPath(file, dir string) error {
	if strings.ContainsAny(dir, "\r\n") {
		return fmt.Errorf("adding %q to PATH: it holds a line break", dir)
	}
	if err := appendFile(file, dir+"\n"); err != nil {
		return fmt.Errorf("adding %s to the PATH of later steps: %w", dir, err)
	}
	return nil
}

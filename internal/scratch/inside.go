package scratch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// OutsideError is a path whose words are below a directory, and which a link leads out of it.
type OutsideError struct{ Path, Target, Dir string }

func (e *OutsideError) Error() string {
	return fmt.Sprintf("%s leads by a link to %s, out of %s", e.Path, e.Target, e.Dir)
}

// Inside returns an [*OutsideError] if path reads as if it were below dir, and a link leads it elsewhere. What reads as being
// elsewhere is elsewhere by the user's own words. What does not exist yet is judged by the first directory above that does.
func Inside(dir, path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	below := func(dir, path string) bool {
		rel, err := filepath.Rel(dir, path)
		return err == nil && filepath.IsLocal(rel)
	}
	if !below(filepath.Clean(dir), abs) && !below(real, abs) {
		return nil
	}
	target, err := resolve(abs)
	if err == nil && !below(real, target) {
		err = &OutsideError{path, target, dir}
	}
	return err
}

// resolve follows all links of a path, as far as it exists. A link whose target is missing leads there all the same.
func resolve(path string) (string, error) {
	for range 255 {
		target, err := filepath.EvalSymlinks(path)
		if !errors.Is(err, fs.ErrNotExist) {
			return target, err
		}
		parent, err := resolve(filepath.Dir(path))
		if err != nil {
			return "", err
		}
		path = filepath.Join(parent, filepath.Base(path))
		link, err := os.Readlink(path)
		if err != nil {
			return path, nil
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(parent, link)
		}
		path = link
	}
	return "", fmt.Errorf("%s: too many links", path)
}

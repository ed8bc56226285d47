package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/report"
	"github.com/org/nixery-action/internal/spec"
)

// checkContents reads the images whose packages are on this machine, and warns
// of what is most likely a mistake. It skips images that are cached as a whole,
// unless their packages happen to exist here.
func (j *job) checkContents(ctx context.Context, all []built) error {
	for i, b := range all {
		for _, p := range b.platforms {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			_, unknown := p.layers[len(p.layers)-1].Record()
			if unknown == nil && !j.present(p.target) {
				j.Log.Debug("the image is not looked into, as its packages are not on this machine", "image", p.target.Image, "platform", p.target.Platform.String())
				continue
			}
			found, err := warningsOf(j.Store, j.targets[i], p.target)
			if err != nil && unknown != nil {
				return fmt.Errorf("image %s for %s: %w", p.target.Image, p.target.Platform, err)
			}
			if err != nil {
				j.Log.Debug("the image cannot be looked into", "image", p.target.Image, "cause", err)
			}
			for _, w := range found {
				j.warn(w)
			}
		}
	}
	return nil
}

// present reports whether the packages of a platform are in the store now.
func (j *job) present(w TargetPlatform) bool {
	return !slices.ContainsFunc(w.Roots(), func(p nix.StorePath) bool {
		_, err := fs.Lstat(j.Store, string(p[1:]))
		return err != nil
	})
}

// warningsOf checks the conflicts, the program and the user of one image.
func warningsOf(store fs.FS, target Target, w TargetPlatform) ([]Warning, error) {
	contents, err := layers.NewContents(store, w.Roots(), w.Closure)
	if err != nil {
		return nil, err
	}
	all := conflictsOf(target, w, contents.Conflicts())
	config := configOf(target.Config, w)
	program, err := checkProgram(contents, target, config)
	user, errUser := checkUser(contents, target, config)
	return slices.Concat(all, program, user), errors.Join(err, errUser)
}

// conflictsOf warns of packages that have the same file with different content,
// and names the one whose file is used.
func conflictsOf(target Target, w TargetPlatform, found []layers.Conflict) []Warning {
	asked, _ := nixbuild.Expand(target.Packages)
	nameOf := func(p nix.StorePath) string {
		i := slices.IndexFunc(w.Packages, func(one nixbuild.Package) bool { return one.Out == p })
		return w.Packages[i].Name
	}
	var all []Warning
	for i, c := range found {
		if i == maxWarnings {
			text := fmt.Sprintf("%d more pairs of packages have files of the same name", len(found)-i)
			return append(all, Warning{report.Warning{Image: target.Name, Title: titleConflict, Message: text}, target.Pos})
		}
		used, left := nameOf(c.Used), nameOf(c.Left)
		files := strings.Join(c.Names, ", ")
		if c.More {
			files += " and others"
		}
		text := fmt.Sprintf("packages %s and %s both have %s, with different content: that of %s is used, as %s sorts before %s",
			used, left, files, used, sortedAs(c.Used, c.Left), sortedAs(c.Left, c.Used))
		if !slices.Contains(asked, used) {
			text += fmt.Sprintf("; %s is in every image", used)
		}
		pos := cmp.Or(packagePos(target, left), packagePos(target, used), target.Pos)
		all = append(all, Warning{report.Warning{Image: target.Name, Title: titleConflict, Message: text}, pos})
	}
	return all
}

// sortedAs returns what decides between p and other in a root layer: the name,
// or the hash if they have the same name.
func sortedAs(p, other nix.StorePath) string {
	if p.Name() == other.Name() {
		return p.Hash()
	}
	return p.Name()
}

// packagePos returns where the spec names a package; zero if it does not.
func packagePos(target Target, name string) spec.Position {
	for i, asked := range target.Packages {
		expanded, _ := nixbuild.Expand([]string{asked})
		if slices.Contains(expanded, name) && i < len(target.PackagePos) {
			return target.PackagePos[i]
		}
	}
	return spec.Position{}
}

// noteCredential records a file that may hold credentials, by the store path
// that it is in; at most 1000 a store path. Packers call it from any goroutine.
func (ws *warnings) noteCredential(in nix.StorePath, name string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.credentials == nil {
		ws.credentials = map[nix.StorePath]map[string]bool{}
	}
	if ws.credentials[in] == nil {
		ws.credentials[in] = map[string]bool{}
	}
	if len(ws.credentials[in]) < 1000 {
		ws.credentials[in][name] = true
	}
}

// warnOfCredentials warns of the images that contain the recorded files. A second
// call repeats no warning.
func (j *job) warnOfCredentials() {
	j.warnings.mu.Lock()
	defer j.warnings.mu.Unlock()
	for n, in := range slices.Sorted(maps.Keys(j.warnings.credentials)) {
		if n == maxWarnings {
			text := fmt.Sprintf("%d more store paths hold such files", len(j.warnings.credentials)-n)
			j.warn(Warning{Warning: report.Warning{Title: titleCredential, Message: text}})
			return
		}
		files := slices.Sorted(maps.Keys(j.warnings.credentials[in]))
		text := strings.Join(files[:min(len(files), 8)], ", ")
		if more := len(files) - 8; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		for _, w := range j.platforms {
			if !slices.ContainsFunc(w.Closure.Paths, func(p nix.PathInfo) bool { return p.Path == in }) {
				continue
			}
			i := slices.IndexFunc(j.targets, func(o Target) bool { return o.Name == w.Image })
			pkg, pos := blamed(j.targets[i], w, in)
			j.warn(Warning{report.Warning{
				Image: w.Image, Title: titleCredential,
				Message: fmt.Sprintf("%s%s holds %s: readable in every copy of image %s; if it is a secret, revoke it and leave it out of the package's source", pkg, in.Name(), text, w.Image),
			}, pos})
		}
	}
}

// blamed returns a package of the spec whose closure contains a store path, and
// where the spec names it: ("package git: ", line 3).
func blamed(target Target, w TargetPlatform, in nix.StorePath) (string, spec.Position) {
	for _, p := range w.Packages {
		closure, err := nix.NewClosure([]nix.StorePath{p.Out}, w.Closure.Paths)
		if err != nil || !slices.ContainsFunc(closure.Paths, func(i nix.PathInfo) bool { return i.Path == in }) {
			continue
		}
		return "package " + p.Name + ": ", cmp.Or(packagePos(target, p.Name), target.Pos)
	}
	return "", target.Pos
}

package nixbuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// checkout is the working tree of a git repository on this machine.
type checkout struct {
	root    string // has the entry .git, and no link in its path
	shallow bool
}

// checkoutAbove returns the directory at or above dir that has an entry .git,
// which is a directory, or a file in worktrees and submodules.
func checkoutAbove(dir string) (root string, found bool) {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			return at, true
		}
		if at == filepath.Dir(at) {
			return "", false
		}
	}
}

// checkoutOf returns the checkout that dir is in. found is false without one. A
// checkout that git refuses to read is an error: its ignored files would be
// taken for others. dir has no link in its path.
func checkoutOf(ctx context.Context, r Runner, dir string) (c checkout, found bool, err error) {
	root, found := checkoutAbove(dir)
	if !found {
		return checkout{}, false, nil
	}
	c = checkout{root: root}
	out, err := c.git(ctx, r, "rev-parse", "--is-shallow-repository", "--show-toplevel")
	if err != nil {
		return checkout{}, false, err
	}
	shallow, top, _ := strings.Cut(string(out), "\n")
	if top = strings.TrimSuffix(top, "\n"); top != root {
		return checkout{}, false, fmt.Errorf("%s has a .git, and for git that directory belongs to the checkout %s; remove that .git, or unset GIT_DIR and GIT_WORK_TREE", root, top)
	}
	c.shallow = shallow == "true"
	return c, true, nil
}

// git runs git in the checkout. The program that a repository may name to watch
// its files is not run.
func (c checkout) git(ctx context.Context, r Runner, args ...string) ([]byte, error) {
	out, err := r.Run(ctx, append([]string{"git", "-c", "core.fsmonitor=false", "--literal-pathspecs", "-C", c.root}, args...)...)
	if exit, failed := errors.AsType[*ExitError](err); failed {
		return nil, c.refused(exit)
	}
	return out, err
}

// refused says what to do about a checkout that git does not read.
func (c checkout) refused(exit *ExitError) error {
	if advice := ownerAdvice(strings.Join(exit.Stderr, "\n"), c.root); advice != "" {
		return errors.New(advice) // which says all that git does
	}
	return fmt.Errorf("git cannot read the checkout %s, so what it ignores is not known; repair it, or remove its .git: %w", c.root, exit)
}

// safeDirectory is git's own advice about a repository of another user. It may
// name the .git in it.
var safeDirectory = regexp.MustCompile(`git config --global --add safe\.directory '?([^'\n]+)`)

// ownerAdvice says what to do if text is what git or libgit2 says of a repository
// that belongs to another user; else it is empty. dir is the repository, for
// where text does not say.
func ownerAdvice(text, dir string) string {
	switch named := safeDirectory.FindStringSubmatch(text); {
	case named != nil:
		dir = named[1]
	case !strings.Contains(text, "dubious ownership") && !strings.Contains(text, "is not owned by current user") && !strings.Contains(text, "unsafe repository"):
		return ""
	}
	return fmt.Sprintf("the git repository %s belongs to another user, so git does not read it; if you trust it, run before this: git config --global --add safe.directory %s", dir, shellQuote(dir))
}

// trusted reports a git repository on this machine that belongs to another user.
// Whatever else is wrong with it, Nix tells.
func trusted(ctx context.Context, r Runner, dir string) error {
	_, err := r.Run(ctx, "git", "-C", dir, "rev-parse", "--git-dir")
	exit, failed := errors.AsType[*ExitError](err)
	if !failed {
		return err
	}
	if advice := ownerAdvice(strings.Join(exit.Stderr, "\n"), dir); advice != "" {
		return errors.New(advice) // which says all that git does
	}
	return nil
}

// shellQuote leaves alone what a shell takes as it is.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%,=", r)
	}
	if !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// files lists what of below git does not ignore: tracked files, and untracked
// ones that no rule excludes. Names are relative to the root, with slashes, in
// order. Repositories below, submodules among them, are listed by their own
// rules.
func (c checkout) files(ctx context.Context, r Runner, below string) ([]string, error) {
	out, err := c.git(ctx, r, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", below)
	if err != nil {
		return nil, err
	}
	var files []string
	directories := map[string]bool{".": true}
	for name := range bytes.SplitSeq(out, []byte{0}) {
		file := strings.TrimSuffix(string(name), "/") // "nested/" is a repository that the index does not have
		if file == "" || !c.isDirectory(path.Dir(file), directories) {
			continue
		}
		at, err := os.Lstat(filepath.Join(c.root, file))
		switch {
		case errors.Is(err, fs.ErrNotExist): // tracked, and removed from the working tree
			continue
		case err != nil:
			return nil, err
		case at.IsDir():
			nested, err := c.nested(ctx, r, file)
			if err != nil {
				return nil, err
			}
			files = append(files, nested...)
		case isContent(at.Mode()):
			files = append(files, file)
		default:
			return nil, fmt.Errorf("%s is tracked by git, but is neither a regular file, a directory nor a link", filepath.Join(c.root, file))
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// isDirectory reports whether a name below the root, and all above it, are
// directories. A link or a file may have the place of one whose files are still
// tracked: then these are removed, whatever the link leads to.
func (c checkout) isDirectory(below string, known map[string]bool) bool {
	is, ok := known[below]
	if !ok {
		at, err := os.Lstat(filepath.Join(c.root, below))
		is = err == nil && at.IsDir() && c.isDirectory(path.Dir(below), known)
		known[below] = is
	}
	return is
}

// nested lists the files of a repository in the checkout; none if it is a
// submodule that was not fetched.
func (c checkout) nested(ctx context.Context, r Runner, below string) ([]string, error) {
	dir := filepath.Join(c.root, below)
	if root, _ := checkoutAbove(dir); root != dir {
		return nil, nil
	}
	inner, _, err := checkoutOf(ctx, r, dir)
	if err != nil {
		return nil, err
	}
	files, err := inner.files(ctx, r, ".")
	for i := range files {
		files[i] = path.Join(below, files[i])
	}
	return files, err
}

// ignores reports whether a rule of git excludes name, which is relative to the
// root.
func (c checkout) ignores(ctx context.Context, r Runner, name string) (bool, error) {
	_, err := r.Run(ctx, "git", "-C", c.root, "check-ignore", "-q", "--", "./"+name) // it takes names, not patterns
	if exit, failed := errors.AsType[*ExitError](err); failed {
		if exit.Status == "exit status 1" {
			return false, nil
		}
		return false, c.refused(exit)
	}
	return err == nil, err
}

// isContent reports whether a NAR can hold a file as it is.
func isContent(mode fs.FileMode) bool { return mode.IsRegular() || mode&fs.ModeSymlink != 0 }

// allFiles lists the files below a directory, git's own left out, relative to
// root. hasGit reports whether some were.
func allFiles(ctx context.Context, root, below string) (files []string, hasGit bool, err error) {
	err = filepath.WalkDir(filepath.Join(root, below), func(name string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case d.Name() == ".git":
			hasGit = true
			if d.IsDir() {
				return fs.SkipDir
			}
		case isContent(d.Type()):
			file, err := filepath.Rel(root, name)
			if err != nil {
				return err
			}
			files = append(files, filepath.ToSlash(file))
		}
		return nil
	})
	return files, hasGit, err
}

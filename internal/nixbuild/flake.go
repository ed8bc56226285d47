package nixbuild

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/org/nixery-action/internal/plainfile"
)

// Locked is a flake whose inputs Nix resolved without its flake.lock, which is
// missing or does not have them all. Before 2.26 builtins.getFlake refuses such a
// flake, so eval.nix calls it.
type Locked struct {
	Root  json.RawMessage `json:"root"`  // for builtins.fetchTree
	Dir   string          `json:"dir"`   // of flake.nix below it
	Locks json.RawMessage `json:"locks"` // as in a flake.lock
}

// flakeURL is the flake as builtins.getFlake takes it. Of a directory it is the
// URL that `nix build` in that directory resolves, without the files that git
// does not have: builtins.getFlake would copy all of a directory, .git too.
func (s Source) flakeURL(ctx context.Context, r Runner) (string, error) {
	if !filepath.IsAbs(s.Flake) {
		if u, err := url.Parse(s.Flake); err == nil && u.Scheme == "git+file" {
			return s.Flake, s.unreadable(ctx, trusted(ctx, r, u.Path))
		}
		return s.Flake, nil
	}
	dir, query := splitQuery(s.Flake)
	located, err := flakeOfDirectory(ctx, r, dir, query)
	return located, s.unreadable(ctx, err)
}

// splitQuery parts a directory from what follows a question mark, unless that is
// the directory's name.
func splitQuery(flake string) (dir, query string) {
	at := strings.LastIndexByte(flake, '?')
	if _, err := os.Lstat(flake); err == nil || at < 0 {
		return flake, ""
	}
	return flake[:at], flake[at+1:]
}

func flakeOfDirectory(ctx context.Context, r Runner, dir, query string) (string, error) {
	parameters, err := url.ParseQuery(query)
	if err != nil {
		return "", fmt.Errorf("reading what follows the ? of the flake: %w", err)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	if err := checkFlakeFile(real); err != nil {
		return "", err
	}
	real = flakeAbove(real)
	c, found, err := checkoutOf(ctx, r, real)
	if err != nil {
		return "", err
	}
	if !found {
		return flakeReference("path:", real, parameters), nil
	}
	if below := relative(c.root, real); below != "." {
		parameters.Set("dir", path.Join(below, parameters.Get("dir")))
	}
	if c.shallow && !parameters.Has("shallow") {
		parameters.Set("shallow", "1")
	}
	return flakeReference("git+file://", c.root, parameters), nil
}

// checkFlakeFile refuses what Nix would wait for.
func checkFlakeFile(dir string) error {
	stat, err := os.Stat(dir)
	if err == nil && !stat.IsDir() {
		err = fmt.Errorf("%s is not a directory; want the directory of a flake.nix", dir)
	}
	if err != nil {
		return err
	}
	for _, name := range []string{"flake.nix", "flake.lock"} {
		if err := plainfile.Check(filepath.Join(dir, name)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// flakeAbove returns the nearest directory at or above dir that has a flake.nix,
// within its repository, as `nix build` does; dir if none has.
func flakeAbove(dir string) string {
	for at := dir; at != filepath.Dir(at); at = filepath.Dir(at) {
		if _, err := os.Lstat(filepath.Join(at, "flake.nix")); err == nil {
			return at
		}
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			return dir
		}
	}
	return dir
}

// flakeReference writes a URL. In Nix's queries a plus is no blank.
func flakeReference(scheme, dir string, parameters url.Values) string {
	reference := scheme + (&url.URL{Path: dir}).EscapedPath()
	if len(parameters) > 0 {
		reference += "?" + strings.ReplaceAll(parameters.Encode(), "+", "%20")
	}
	return reference
}

// warning says what the user of a flake that is copied with all its files should
// know: one by path:, or a directory that is in no git repository.
func (s Source) warning(ctx context.Context) string {
	dir, isPath := strings.CutPrefix(s.Flake, "path:")
	if !isPath && !filepath.IsAbs(s.Flake) {
		return ""
	}
	dir, _ = splitQuery(dir)
	if decoded, err := url.PathUnescape(dir); err == nil && isPath {
		dir = decoded
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return ""
	}
	root, found := checkoutAbove(real)
	if !found {
		return warningBelow(ctx, real)
	}
	if !isPath {
		return ""
	}
	return fmt.Sprintf("a flake by path: is copied with all its files, and %s is in the git repository %s: its .git, files that git ignores and untracked ones are readable for builds and can get into the image; leave out path: to take the files that git has", dir, root)
}

// warningBelow is about repositories below a flake that is in none, such as those
// that actions/checkout puts into directories of the workspace.
func warningBelow(ctx context.Context, dir string) string {
	if _, hasGit, err := allFiles(ctx, dir, "."); err != nil || !hasGit {
		return "" // Nix tells what is wrong with it
	}
	return fmt.Sprintf("the flake in %s is in no git repository, so it is copied with all its files, and a git repository is below it: that one's .git and files that git ignores are readable for builds and can get into the image; run git init and git add in %s to take the files that git has, or move the repository out of it", dir, shellQuote(dir))
}

// ownerAdvice is what to do if text says that a repository on this machine
// belongs to another user.
func (s Source) ownerAdvice(text string) string {
	where := strings.TrimPrefix(s.Flake, "git+")
	if s.Git != nil {
		where = s.Git.URL
	}
	dir := "DIR"
	if u, err := url.Parse(where); err == nil && u.Scheme == "file" {
		dir = u.Path
	}
	if advice := ownerAdvice(text, dir); advice != "" {
		return "\n" + advice
	}
	return ""
}

func (s Source) pinFlake(ctx context.Context, r Runner, key pinKey) (Source, string, error) {
	located, err := s.flakeURL(ctx, r)
	if err != nil {
		return s, "", err
	}
	s.Flake = located
	out, err := r.Run(ctx, "nix", "--extra-experimental-features", "nix-command flakes", "flake", "metadata", "--json", "--no-write-lock-file", s.Flake)
	if err != nil {
		// The evaluation says better what is wrong with it.
		return s, "", fmt.Errorf("%w: %s", ErrUnpinned, s.redact(err.Error()))
	}
	var metadata flakeMetadata
	if err := json.Unmarshal(out, &metadata); err != nil {
		return s, "", fmt.Errorf("reading what nix flake metadata printed: %w: %w", ErrUnpinned, err)
	}
	if metadata.URL == "" {
		return s, "", fmt.Errorf("%w: nix flake metadata does not say where the flake is", ErrUnpinned)
	}
	s.Flake = metadata.URL
	var locks bytes.Buffer
	if err := json.Compact(&locks, metadata.Locks); err != nil {
		return s, "", fmt.Errorf("reading the flake's locks: %w: %w", ErrUnpinned, err)
	}
	if s.Locked, err = metadata.unwritten(locks.Bytes()); err != nil {
		return s, "", fmt.Errorf("reading the flake's locks: %w: %w", ErrUnpinned, err)
	}
	if _, hasRev := metadata.Locked["rev"]; !hasRev && !strings.Contains(metadata.URL, "narHash=") {
		return s, "", fmt.Errorf("%w: the flake's working tree has changes that are not committed", ErrUnpinned)
	}
	key.add("flake", metadata.identity(), locks.String())
	return s, s.String(), nil
}

// flakeMetadata is what `nix flake metadata --json` prints.
type flakeMetadata struct {
	URL    string                     `json:"url"`
	Path   string                     `json:"path"` // in the store
	Locked map[string]json.RawMessage `json:"locked"`
	Locks  json.RawMessage            `json:"locks"`
}

// maxLock bounds a flake.lock, in bytes. Those of the largest flakes have some
// hundred kilobytes.
const maxLock = 16 << 20

// identity is what fixes the flake's files and what Nix tells it of itself. Two
// checkouts of one commit have the same.
func (m flakeMetadata) identity() string {
	kind, where := m.text("type"), m.text("url")
	if kind != "path" && (kind != "git" || !strings.HasPrefix(where, "file:")) {
		return withoutCredentials(m.URL)
	}
	local := m.attributes("path", "url", "ref")
	text, err := json.Marshal(local) // keys are sorted
	if err != nil {
		return m.URL
	}
	return string(text)
}

func (m flakeMetadata) text(attribute string) string {
	var text string
	_ = json.Unmarshal(m.Locked[attribute], &text) // the zero value for what is missing
	return text
}

// attributes are what the flake is locked to, without some and without Nix's
// own notes.
func (m flakeMetadata) attributes(without ...string) map[string]json.RawMessage {
	left := map[string]json.RawMessage{}
	for name, value := range m.Locked {
		if !slices.Contains(without, name) && !strings.HasPrefix(name, "__") {
			left[name] = value
		}
	}
	return left
}

// unwritten returns what the flake's flake.lock does not say; nil if it says all.
func (m flakeMetadata) unwritten(locks []byte) (*Locked, error) {
	var lock struct {
		Nodes map[string]json.RawMessage `json:"nodes"`
	}
	if err := json.Unmarshal(locks, &lock); err != nil || len(lock.Nodes) < 2 {
		return nil, err
	}
	dir := m.text("dir")
	written, err := plainfile.ReadFile(filepath.Join(m.Path, filepath.FromSlash(dir), "flake.lock"), maxLock)
	if err == nil && sameJSON(written, locks) {
		return nil, nil
	}
	root, err := json.Marshal(m.attributes("dir", "dirtyRev", "dirtyShortRev"))
	return &Locked{Root: root, Dir: dir, Locks: locks}, err
}

func sameJSON(a, b []byte) bool {
	var first, second any
	return json.Unmarshal(a, &first) == nil && json.Unmarshal(b, &second) == nil && reflect.DeepEqual(first, second)
}

package nixbuild

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"runtime"
	"strings"
)

// Pinned says what a source stood for when it was pinned.
type Pinned struct {
	Name string // for people, without credentials: "nixpkgs commit 1f…"
	Key  string // 64 hex digits; where two are equal, the same names evaluate to the same packages

	Warning string // what the user should know of the source, also where it cannot be pinned
}

// ErrUnpinned says that a source has no fixed meaning that could be told
// without evaluating it. It can be evaluated all the same.
var ErrUnpinned = errors.New("the package source cannot be pinned")

// Pin finds out what a source stands for now. The source that it returns stands
// for that for ever, and is what should be evaluated: a channel has become the
// commit it is at, a branch has a revision, a flake is locked. A path stays as
// it is, and its key is of the files' contents.
//
// What an expression reaches besides its source, config and overlays, such as
// a URL without a hash, is not in the key. An error is [ErrUnpinned], with the
// source to evaluate all the same, a [*SourceError], or the context's cause.
func Pin(ctx context.Context, r Runner, src Source) (Source, Pinned, error) {
	if err := src.check(); err != nil {
		return src, Pinned{}, fmt.Errorf("pinning the package source: %w", err)
	}
	key := newPinKey()
	warning := src.warning(ctx)
	pinned, name, err := src.pin(ctx, r, key)
	if err == nil {
		err = key.settings(ctx, r, src)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if _, named := errors.AsType[*SourceError](err); named {
		return src, Pinned{Warning: warning}, err
	}
	if err != nil {
		return pinned, Pinned{Warning: warning}, fmt.Errorf("pinning %s: %w", src, err)
	}
	return pinned, Pinned{Name: name, Key: key.sum(), Warning: warning}, nil
}

// pin returns the pinned source and its name, and adds to key what fixes it.
func (s Source) pin(ctx context.Context, r Runner, key pinKey) (Source, string, error) {
	switch {
	case s.Git != nil:
		return s.pinGit(ctx, r, key)
	case s.Path != "":
		tree, err := s.tree(ctx, r, s.Path)
		if err != nil {
			return s, "", err
		}
		place, hash, err := tree.pin(ctx)
		key.add("path", place, hash)
		return s, "files " + hash, err
	case s.Flake != "":
		return s.pinFlake(ctx, r, key)
	}
	if !commitPattern.MatchString(s.Channel) {
		commit, err := s.channelCommit(ctx)
		if err != nil {
			return s, "", &SourceError{Source: s.String(), Message: err.Error(), cause: err}
		}
		s.Channel = commit
	}
	key.add("tarball", s.tarball())
	return s, s.String(), nil
}

func (s Source) pinGit(ctx context.Context, r Runner, key pinKey) (Source, string, error) {
	git := *s.Git
	if git.Rev == "" {
		out, err := r.Run(ctx, "git", "ls-remote", "--symref", "--", git.URL, git.fullRef(), git.fullRef()+"^{}")
		if err != nil {
			return s, "", s.gitFault(err)
		}
		if git.Ref, git.Rev, err = newestOf(string(out), git.fullRef()); err != nil {
			return s, "", &SourceError{Source: s.String(), Message: err.Error(), cause: err}
		}
	}
	s.Git = &git
	key.add("git", withoutCredentials(git.URL), git.Rev)
	return s, "git commit " + git.Rev, nil
}

// fullRef is the ref as Nix understands it: fetchGit takes a short name for a
// branch, never for a tag.
func (g Git) fullRef() string {
	switch {
	case g.Ref == "" || g.Ref == "HEAD":
		return "HEAD"
	case strings.HasPrefix(g.Ref, "refs/"):
		return g.Ref
	}
	return "refs/heads/" + g.Ref
}

// newestOf reads what git ls-remote --symref prints. Patterns match the ends of
// names, so there may be others. An annotated tag stands for its commit; HEAD
// becomes the branch it names, as an older Nix looks for a commit on one ref.
func newestOf(listing, want string) (ref, rev string, err error) {
	ref = want
	for line := range strings.Lines(listing) {
		value, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		branch, symbolic := strings.CutPrefix(value, "ref: ")
		switch {
		case symbolic && name == want:
			ref = branch
		case name == want && rev == "", name == want+"^{}":
			rev = value
		}
	}
	if rev == "" {
		return "", "", fmt.Errorf("the repository has no %s", want)
	}
	if !commitPattern.MatchString(rev) {
		return "", "", fmt.Errorf("git says that %s is %.80q, which is no commit", want, rev)
	}
	return ref, rev, nil
}

// gitFault is what git said, without credentials.
func (s Source) gitFault(err error) error {
	var exit *ExitError
	if !errors.As(err, &exit) {
		return err
	}
	last := exit.Stderr[max(0, len(exit.Stderr)-shownLines):]
	said := strings.Join(append([]string{exit.Status}, last...), "\n")
	return &SourceError{Source: s.String(), Message: s.redact(said) + s.ownerAdvice(said), cause: exit}
}

// redact takes the source's credentials out of what a program said.
func (s Source) redact(text string) string {
	for _, secret := range s.secrets() {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return text
}

// pinKey hashes lists of fields, each with its length before it.
type pinKey struct{ hash.Hash }

// newPinKey begins with what reads the source: this version's expression, and
// the machine, which a package set may ask about.
func newPinKey() pinKey {
	key := pinKey{sha256.New()}
	key.add("pin 1", string(evalNix), runtime.GOOS, runtime.GOARCH)
	return key
}

func (k pinKey) add(fields ...string) {
	k.number(len(fields))
	for _, field := range fields {
		k.number(len(field))
		k.Write([]byte(field))
	}
}

func (k pinKey) number(n int) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(n))
	k.Write(length[:])
}

// settings adds config and overlays. The order of overlays counts.
func (k pinKey) settings(ctx context.Context, r Runner, src Source) error {
	config, err := json.Marshal(src.Config) // keys are sorted
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if len(src.Config) == 0 {
		config = nil
	}
	fields := []string{"settings", string(config)}
	for _, overlay := range src.Overlays {
		tree, err := src.tree(ctx, r, overlay)
		if err != nil {
			return err
		}
		place, hash, err := tree.pin(ctx)
		if err != nil {
			return fmt.Errorf("overlay %q: %w", overlay, err)
		}
		fields = append(fields, place, hash)
	}
	k.add(fields...)
	return nil
}

func (k pinKey) sum() string { return hex.EncodeToString(k.Sum(nil)) }

package nixinstall

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/org/nixery-action/internal/nixbuild"
)

const (
	scriptFile       = "install"
	registrationFile = ".reginfo"
)

// register shows the store, tells Nix's database of it, and links Nix and its
// certificates as the default profile, as the release's own script does.
func (i Installer) register(ctx context.Context, r *room) error {
	nix, certificates, err := r.programs()
	if err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(r.staging(), "store"), r.store()); err != nil {
		return err
	}
	// Without it, Nix would make a store of its own for all but root, in their home.
	if err := os.MkdirAll(filepath.Join(r.dir, "var/nix"), 0o755); err != nil {
		return err
	}
	known, err := os.Open(filepath.Join(r.staging(), registrationFile))
	if err != nil {
		return err
	}
	defer known.Close()
	if err := run(ctx, known, filepath.Join(nix, "bin/nix-store"), "--load-db"); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if err := r.configure(filepath.Join(cmp.Or(i.ConfDir, "/etc/nix"), "nix.conf")); err != nil {
			return err
		}
	}
	return run(ctx, nil, filepath.Join(nix, "bin/nix-env"),
		"--profile", filepath.Join(r.dir, profile), "--install", nix, certificates)
}

// run runs a program. If it ends badly, that is no [*nixbuild.ExitError]: whoever
// calls Nix for something else would take it for an answer.
func run(ctx context.Context, stdin *os.File, args ...string) error {
	_, err := nixbuild.Exec{Stdin: stdin}.Run(ctx, args...)
	if exit, ok := errors.AsType[*nixbuild.ExitError](err); ok {
		return errors.New(exit.Error())
	}
	return err
}

// named is a line of the release's script, such as nix="/nix/store/…".
var named = regexp.MustCompile(`(?m)^(nix|cacert)="/nix/store/([0-9a-z]{32}-[0-9A-Za-z+._?=-]+)"$`)

// programs are the store paths of Nix and of its certificates. Which they are,
// the script alone says: a closure has several paths named nix-VERSION.
func (r *room) programs() (nix, certificates string, err error) {
	script, err := os.ReadFile(filepath.Join(r.staging(), scriptFile))
	if err != nil {
		return "", "", fmt.Errorf("the archive is not that of a release of Nix: %w", err)
	}
	paths := map[string]string{}
	for _, match := range named.FindAllSubmatch(script, -1) {
		paths[string(match[1])] = filepath.Join(r.store(), string(match[2]))
	}
	if len(paths) != 2 {
		return "", "", errors.New("the archive is not that of a release of Nix: its script names no Nix, or no certificates")
	}
	return paths["nix"], paths["cacert"], nil
}

var buildUsers = regexp.MustCompile(`(?m)^\s*build-users-group\s*=`)

const noBuildUsers = "# Nix was installed by nixery-action, for root and without a daemon: it builds as root.\nbuild-users-group =\n"

// configure adds the one setting without which root can build nothing, as no
// build users were made. Where it is set already, it is the user's.
func (r *room) configure(file string) error {
	old, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.undo = append(r.undo, func() error { return os.Remove(file) })
	case err != nil:
		return err
	case buildUsers.Match(old):
		return nil
	default:
		r.undo = append(r.undo, func() error { return os.Truncate(file, int64(len(old))) })
	}
	text := noBuildUsers
	if len(old) > 0 && !bytes.HasSuffix(old, []byte("\n")) {
		text = "\n" + text
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return appendTo(file, text)
}

func appendTo(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

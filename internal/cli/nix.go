package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/org/nixery-action/internal/actions"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/nixinstall"
)

// withNix lets a runner find or install a Nix when it first needs one and has
// none, if the options allow it. On a command line one has to ask for it.
func withNix(c *console, o buildOptions, next nixbuild.Runner) nixbuild.Runner {
	if o.step && o.InstallNix != "auto" || !o.step && !o.installNix {
		return next
	}
	return nixinstall.NewRunner(next, func(ctx context.Context) error { return obtainNix(ctx, c, o) })
}

// obtainNix puts a Nix on PATH: that of an earlier step, or else one of its own,
// which then is on PATH for later steps too.
func obtainNix(ctx context.Context, c *console, o buildOptions) error {
	if bin, ok := nixinstall.Find(os.Getenv("HOME")); ok {
		c.log.Info("Nix is not on PATH, but on this machine", "found", bin)
		return addToPath(bin)
	}
	if o.step {
		if err := mayInstall(os.Getenv, exists, os.Geteuid()); err != nil {
			return err
		}
	}
	bin, err := installNix(ctx, c, os.Getenv)
	if err != nil {
		return err
	}
	if file := os.Getenv("GITHUB_PATH"); c.env.InActions && file != "" {
		if err := actions.AddPath(file, bin); err != nil {
			return err
		}
		c.log.Info("Nix is installed, and on PATH for later steps", "programs", bin)
	} else {
		c.log.Info("Nix is installed; to call it by hand, add its programs to PATH", "programs", bin)
	}
	return addToPath(bin)
}

func installNix(ctx context.Context, c *console, getenv func(string) string) (bin string, err error) {
	archive, err := nixArchive(getenv)
	if err != nil {
		return "", err
	}
	installer := nixinstall.Installer{
		Archive:   archive,
		TempDir:   c.env.TempDir,
		ConfDir:   os.Getenv("NIX_CONF_DIR"),
		UserAgent: userAgent(),
		Log:       c.log,
		Display:   c.display,
	}
	if tools := os.Getenv("RUNNER_TOOL_CACHE"); c.env.InActions && tools != "" {
		installer.Keep = filepath.Join(tools, "nixery-action")
	}
	return installer.Install(ctx)
}

// nixArchive is the pinned Nix, or what NIXERY_NIX_URL and NIXERY_NIX_SHA256
// name; see docs/nix.md.
func nixArchive(getenv func(string) string) (nixinstall.Archive, error) {
	archive, err := nixinstall.Pinned(runtime.GOOS, runtime.GOARCH)
	at, sum := getenv("NIXERY_NIX_URL"), getenv("NIXERY_NIX_SHA256")
	switch {
	case err != nil:
		return archive, err
	case at == "" && sum == "":
		return archive, nil
	case at == "":
		return archive, usagef("NIXERY_NIX_SHA256 is set without NIXERY_NIX_URL: the hash of the Nix that comes with this version is known")
	}
	if archive, err = archive.At(at, sum); err != nil {
		return archive, usagef("NIXERY_NIX_URL or NIXERY_NIX_SHA256: %w", err)
	}
	return archive, nil
}

// mayInstall tells machines that end with their job from those that people
// keep, and who would not expect to find a /nix there.
func mayInstall(getenv func(string) string, exists func(string) bool, user int) error {
	if getenv("RUNNER_ENVIRONMENT") == "github-hosted" {
		return nil
	}
	container := exists("/.dockerenv") || exists("/run/.containerenv") || getenv("KUBERNETES_SERVICE_HOST") != ""
	switch {
	case !container:
		return errors.New("no Nix was installed: install-nix: auto does so on GitHub's own runners and in containers, and this is a machine of yours")
	case user != 0:
		return errors.New("no Nix was installed: in a container, install-nix: auto does so as root only")
	}
	return nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// addToPath lets this process and all that it runs find a directory's programs,
// after all others.
func addToPath(bin string) error {
	path := bin
	if old := os.Getenv("PATH"); old != "" {
		path = strings.Join([]string{old, bin}, string(filepath.ListSeparator))
	}
	if err := os.Setenv("PATH", path); err != nil {
		return fmt.Errorf("adding %s to PATH: %w", bin, err)
	}
	return nil
}

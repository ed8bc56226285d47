package nixinstall

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/org/nixery-action/internal/progress"
)

// Installer installs a Nix for the user who runs it, without a daemon. It is
// used once.
type Installer struct {
	Archive   Archive
	Keep      string // a directory where the archive is kept for later runs; empty for none
	TempDir   string // for the archive otherwise; empty for the system's
	ConfDir   string // where nix.conf is; empty for /etc/nix
	UserAgent string
	Log       *slog.Logger
	Display   *progress.Display

	// For tests.
	root string        // empty for /nix
	wait time.Duration // after a first failure; 0 for a second
	most int64         // bytes of an archive; 0 for the constant
}

// Install makes /nix and all that is in it, and returns the directory with Nix's
// programs. That directory is a profile's: what it links to is safe from Nix's
// garbage collector. An error leaves the machine as it was, but for an empty /nix
// that sudo made. A cancelled context's error is its cause.
func (i Installer) Install(ctx context.Context) (bin string, err error) {
	if i.root == "" {
		i.root = "/nix"
	}
	if err := i.install(ctx); err != nil {
		return "", fmt.Errorf("installing %s: %w", i.Archive.title(), err)
	}
	return filepath.Join(i.root, profile, "bin"), nil
}

func (i Installer) install(ctx context.Context) (err error) {
	room, err := enter(ctx, i.root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, room.leave(err == nil)) }()
	archive, err := i.fetch(ctx)
	if err != nil {
		return err
	}
	defer archive.Close()
	return i.settle(ctx, room, archive)
}

func (i Installer) settle(ctx context.Context, room *room, archive *os.File) error {
	stage := i.Display.Stage("installing " + i.Archive.title())
	stage.Status("unpacking")
	err := unpack(ctx, archive, room.staging())
	if err == nil {
		stage.Status("registering")
		err = i.register(ctx, room)
	}
	if err != nil {
		stage.Done("stopped")
		return err
	}
	stage.Done("in " + i.root)
	return nil
}

package cli

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/serve/settings"
)

// confinementOf holds evaluations: whoever can push to the package source's branches writes what is evaluated.
func confinementOf(s settings.Settings) nixbuild.Confinement {
	return nixbuild.Confinement{
		Restrict: true, Allow: s.Paths, ImportFromDerivation: s.Imports,
		Bounds: nixbuild.Bounds{Memory: s.Memory, CPU: s.CPU},
	}
}

// strictSandbox ends a build rather than go on without the sandbox that the settings ask for, as Nix does where the kernel has none.
type strictSandbox struct{ nixbuild.Runner }

// Run implements [nixbuild.Runner].
func (r strictSandbox) Run(ctx context.Context, args ...string) ([]byte, error) {
	if args[0] == "nix-build" || args[0] == "nix-instantiate" {
		args = slices.Insert(slices.Clone(args), 1, "--option", "sandbox-fallback", "false")
	}
	return r.Runner.Run(ctx, args...)
}

// checkBuilders refuses to build for strangers where builders are not kept from the machine, and warns elsewhere.
func checkBuilders(ctx context.Context, log *slog.Logger, s settings.Settings, nix nixbuild.Runner) error {
	isolation, err := nixbuild.ReadIsolation(ctx, nix)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	exposed := "builders are not sandboxed, so whoever gets a package into the source reads what the server's own user reads, credentials too"
	switch {
	case err != nil:
		exposed = "whether builders are sandboxed cannot be found out"
	case isolation.Sandboxed:
		return nil
	case isolation.BuildUsers:
		exposed = "builders are not sandboxed, so whoever gets a package into the source reads what all users of this machine may read, and its network"
	}
	if s.Public && !s.Unsafe {
		return usageError{errors.Join(errors.New("--public: "+exposed+"; set sandbox = true in nix.conf, or add --unsafe if that is meant"), err)}
	}
	log.Warn(exposed, "setting", "sandbox", "cause", err)
	return nil
}

package nixbuild

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Realise makes the packages exist, of all systems in one run of Nix, which
// builds or downloads what is missing.
//
// rootsDir is created and gets links that keep the packages from the garbage
// collector until the caller removes it; it must be of this call alone. A build
// that ends badly gives a [*BuildError], one that no machine at hand can do a
// [*SystemError].
func Realise(ctx context.Context, r Runner, pkgs []Package, rootsDir string) error {
	if len(pkgs) == 0 {
		return nil
	}
	dir, err := filepath.Abs(rootsDir)
	if err != nil {
		return fmt.Errorf("realising packages: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("realising packages: %w", err)
	}
	out, err := r.Run(ctx, buildCommand(pkgs, dir)...)
	if err != nil {
		err = realiseError(err)
		if build, ok := errors.AsType[*BuildError](err); ok {
			build.name(pkgs)
		}
		return err
	}
	return checkBuilt(pkgs, string(out))
}

func buildCommand(pkgs []Package, dir string) []string {
	args := append([]string{"nix-build"}, journalFormat...)
	args = append(args, "--option", "log-lines", fmt.Sprint(shownLines), "--out-link", filepath.Join(dir, "package"))
	var wanted []string
	for _, p := range pkgs {
		wanted = append(wanted, string(p.Drv)+"!"+p.Output)
	}
	slices.Sort(wanted)
	return append(args, slices.Compact(wanted)...)
}

// checkBuilt compares what nix-build printed, one output a line, with what
// evaluation promised.
func checkBuilt(pkgs []Package, out string) error {
	built := strings.Fields(out)
	for _, p := range pkgs {
		if !slices.Contains(built, string(p.Out)) {
			return fmt.Errorf("realising packages: nix-build ended well but did not make %s (package %q, %s)", p.Out, p.Name, p.System)
		}
	}
	return nil
}

// realiseError gives an [*ExitError] of nix-build its type.
func realiseError(err error) error {
	var exit *ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("realising packages: %w", err)
	}
	for _, read := range []func(*ExitError) error{systemError, collectedError, buildUsersError, buildError} {
		if typed := read(exit); typed != nil {
			return fmt.Errorf("realising packages: %w", typed)
		}
	}
	return fmt.Errorf("realising packages: %w", err)
}

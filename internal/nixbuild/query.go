package nixbuild

import (
	"context"
	"fmt"
	"github.com/org/nixery-action/internal/nix"
	"slices"
	"strings"
)

// batchSize is how many store paths go on one command line: a store path is at
// most 255 bytes, and Linux and macOS allow far more than a quarter of a MiB.
const batchSize = 1000

// QueryClosure asks Nix for everything that roots reach.
func QueryClosure(ctx context.Context, r Runner, roots []nix.StorePath) (nix.Closure, error) {
	infos, err := QueryPaths(ctx, r, roots)
	if err != nil {
		return nix.Closure{}, err
	}
	return nix.NewClosure(roots, infos)
}

// QueryPaths asks Nix for every path that roots reach, in no certain order, each
// once. One query serves many closures: hand its answer to [NewClosure] with
// the roots of each.
func QueryPaths(ctx context.Context, r Runner, roots []nix.StorePath) ([]nix.PathInfo, error) {
	paths, err := queryRequisites(ctx, r, nix.SortedSet(roots))
	if err != nil {
		return nil, fmt.Errorf("querying a closure: %w", err)
	}
	var infos []nix.PathInfo
	for batch := range slices.Chunk(paths, batchSize) {
		more, err := queryInfos(ctx, r, batch)
		if err != nil {
			return nil, fmt.Errorf("querying a closure: %w", err)
		}
		infos = append(infos, more...)
	}
	return infos, nil
}

// QueryStore asks Nix for every path of the store that is valid, in no certain
// order, each once; derivations and what is garbage by now are among them.
func QueryStore(ctx context.Context, r Runner) ([]nix.PathInfo, error) {
	out, err := r.Run(ctx, "nix-store", "--dump-db")
	if err != nil {
		return nil, fmt.Errorf("querying the store: %w", err)
	}
	infos, err := parseRegistration(out)
	if err != nil {
		return nil, fmt.Errorf("reading what nix-store --dump-db printed: %w", err)
	}
	return infos, nil
}

func queryRequisites(ctx context.Context, r Runner, roots []nix.StorePath) ([]nix.StorePath, error) {
	var paths []nix.StorePath
	for batch := range slices.Chunk(roots, batchSize) {
		out, err := r.Run(ctx, withPaths([]string{"nix-store", "--query", "--requisites"}, batch)...)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(out)) {
			path, err := nix.ParseStorePath(strings.TrimSuffix(line, "\n"))
			if err != nil {
				return nil, err
			}
			paths = append(paths, path)
		}
	}
	return nix.SortedSet(paths), nil
}

// queryInfos is given paths in order and asks for just these: --dump-db does not
// follow references.
func queryInfos(ctx context.Context, r Runner, paths []nix.StorePath) ([]nix.PathInfo, error) {
	out, err := r.Run(ctx, withPaths([]string{"nix-store", "--dump-db"}, paths)...)
	if err != nil {
		return nil, err
	}
	infos, err := parseRegistration(out)
	if err != nil {
		return nil, fmt.Errorf("reading what nix-store --dump-db printed: %w", err)
	}
	got := make([]nix.StorePath, 0, len(infos))
	for _, info := range infos {
		got = append(got, info.Path)
	}
	slices.Sort(got)
	if !slices.Equal(got, paths) {
		return nil, fmt.Errorf("nix-store --dump-db told of %d paths, not of the %d that were asked for", len(got), len(paths))
	}
	return infos, nil
}

func withPaths(args []string, paths []nix.StorePath) []string {
	for _, p := range paths {
		args = append(args, string(p))
	}
	return args
}

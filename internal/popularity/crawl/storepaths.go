package crawl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mikelolasagasti/xz"

	"github.com/org/nixery-action/internal/fetch"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/popularity"
)

// maxStorePaths bounds a list of store paths, in bytes before and after
// decompression. All of nixpkgs is about ten million.
const maxStorePaths = 64 << 20

// maxDictionary bounds what an xz file may have the decoder hold, in bytes: xz -9 wants this much. The library that writes
// xz elsewhere allocates whatever the file asks for, up to 4 GiB.
const maxDictionary = 64 << 20

// StorePaths reads the list of store paths at where, a file or an http or https
// URL, as channels publish it under the name store-paths.xz: a path a line, as it
// is or compressed with xz. The result is sorted, each path once; from is the
// URL after redirects, as a channel's URL redirects to that of a release.
func (c *Cache) StorePaths(ctx context.Context, where string) (paths []nix.StorePath, from string, err error) {
	data, from, err := c.list(ctx, where)
	if err == nil {
		paths, err = parseStorePaths(data)
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading store paths from %s: %w", from, err)
	}
	return paths, from, nil
}

func (c *Cache) list(ctx context.Context, where string) (data []byte, from string, err error) {
	if !strings.Contains(where, "://") {
		data, err = popularity.ReadFile(where, maxStorePaths)
		return data, where, err
	}
	u, err := fetch.Parse(where)
	if err != nil {
		return nil, "a URL", err
	}
	data, end, err := c.web().Get(ctx, u, maxStorePaths, nil)
	if err != nil {
		return nil, fetch.Bare(u), err
	}
	return data, fetch.Bare(end), nil
}

// xzMagic begins each xz file: the .xz file format, §2.1.1.1.
var xzMagic = []byte("\xfd7zXZ\x00")

func parseStorePaths(data []byte) ([]nix.StorePath, error) {
	if bytes.HasPrefix(data, xzMagic) {
		r, err := xz.NewReader(bytes.NewReader(data), maxDictionary)
		if err != nil {
			return nil, err
		}
		if data, err = io.ReadAll(io.LimitReader(r, maxStorePaths+1)); err != nil {
			return nil, err
		}
	}
	if len(data) > maxStorePaths {
		return nil, fmt.Errorf("they are more than %d MiB", maxStorePaths>>20)
	}
	var paths []nix.StorePath
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		path, err := nix.ParseStorePath(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		paths = append(paths, path)
	}
	if len(paths) == 0 {
		return nil, errors.New("there are none in it")
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

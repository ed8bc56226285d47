// Package crawl is what popularity reads over the network: tables by their URL,
// and the narinfos of a binary cache, which become a table. It stands apart so
// that who plans with counts links no HTTP.
package crawl

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/org/nixery-action/internal/fetch"
	"github.com/org/nixery-action/internal/popularity"
)

// Load loads the table that where names: "none", "embedded", an https URL, an
// http URL on this machine, or a file. Files and URLs hold JSON as [Read] reads
// it, as it is or gzipped. If sum is not empty, it must be the SHA-256 of the
// file, in hex. Errors are of the type [*TableError].
func Load(ctx context.Context, where, sum string) (popularity.Table, error) {
	switch where {
	case "none":
		return popularity.Table{Source: where}, nil
	case "embedded":
		return popularity.NewTable(where, popularity.Embedded()), nil
	}
	if !strings.Contains(where, "://") {
		return popularity.LoadFile(where, sum)
	}
	client := fetch.New(fetch.Options{Agent: "nixery-action"})
	defer client.Close()
	return loadURL(ctx, client, where, sum)
}

func loadURL(ctx context.Context, client *fetch.Client, where, sum string) (popularity.Table, error) {
	u, err := fetch.Parse(where)
	if err != nil {
		return popularity.Table{}, &popularity.TableError{Source: "at a URL", Err: err}
	}
	fail := &popularity.TableError{Source: fetch.Bare(u)}
	if !fetch.IsSafe(u) {
		fail.Err = errors.New("want https: over plain http anyone on the way could change it")
		return popularity.Table{}, fail
	}
	fail.Remote = true
	data, _, err := client.Get(ctx, u, popularity.MaxTable, nil)
	if err != nil {
		fail.Err = fmt.Errorf("fetching it: %w; to build without it, say embedded or none instead", err)
		return popularity.Table{}, fail
	}
	counts, err := popularity.Decode(data, sum)
	if err != nil {
		fail.Err = err
		return popularity.Table{}, fail
	}
	return popularity.NewTable(fetch.Bare(u), counts), nil
}

package popularity

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/org/nixery-action/internal/fetch"
)

// Load loads the table that where names: "none", "embedded", an https URL, an
// http URL on this machine, or a file. Files and URLs hold JSON as [Read] reads
// it, as it is or gzipped. If sum is not empty, it must be the SHA-256 of the
// file, in hex. Errors are of the type [*TableError].
func Load(ctx context.Context, where, sum string) (Table, error) {
	switch where {
	case "none":
		return Table{Source: where}, nil
	case "embedded":
		return newTable(where, Embedded()), nil
	}
	if !strings.Contains(where, "://") {
		return loadFile(where, sum)
	}
	client := fetch.New(fetch.Options{Agent: "nixery-action"})
	defer client.Close()
	return loadURL(ctx, client, where, sum)
}

func loadURL(ctx context.Context, client *fetch.Client, where, sum string) (Table, error) {
	u, err := fetch.Parse(where)
	if err != nil {
		return Table{}, &TableError{Source: "at a URL", Err: err}
	}
	fail := &TableError{Source: fetch.Bare(u)}
	if !fetch.IsSafe(u) {
		fail.Err = errors.New("want https: over plain http anyone on the way could change it")
		return Table{}, fail
	}
	fail.Remote = true
	data, _, err := client.Get(ctx, u, maxTable, nil)
	if err != nil {
		fail.Err = fmt.Errorf("fetching it: %w; to build without it, say embedded or none instead", err)
		return Table{}, fail
	}
	counts, err := decode(data, sum)
	if err != nil {
		fail.Err = err
		return Table{}, fail
	}
	return newTable(fetch.Bare(u), counts), nil
}

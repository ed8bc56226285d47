package build

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/org/nixery-action/internal/popularity"
	"github.com/org/nixery-action/internal/popularity/crawl"
)

// Tables loads the popularity table that each target's spec names, and returns
// them in the order of the targets. One that several name is loaded once.
func (b *Builder) Tables(ctx context.Context, targets []Target) ([]popularity.Table, error) {
	load := b.LoadTable
	if load == nil {
		load = crawl.Load
	}
	type name struct{ where, sum string }
	loaded := map[name]popularity.Table{}
	tables := make([]popularity.Table, len(targets))
	for i, target := range targets {
		n := name{target.Layers.Popularity, target.Layers.PopularitySHA256}
		table, ok := loaded[n]
		if !ok {
			var err error
			if table, err = load(ctx, n.where, n.sum); err != nil {
				return nil, fmt.Errorf("image %s: %w", target.Name, err)
			}
			loaded[n] = table
			b.Log.Log(ctx, levelOf(table), "popularity table", "source", table.Source, "sha256", table.SHA256, "names", len(table.Counts))
		}
		tables[i] = table
	}
	return tables, nil
}

// levelOf returns the level of the line about a table: the embedded one, which
// no spec chose, shows in debug logs and in the report only.
func levelOf(table popularity.Table) slog.Level {
	if table.Source == "embedded" {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

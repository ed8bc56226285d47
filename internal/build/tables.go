package build

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/org/nixery-action/internal/popularity"
	"github.com/org/nixery-action/internal/popularity/crawl"
)

// Tables loads the popularity table that each order's spec names, and returns
// them in the order of the orders. One that several name is loaded once.
func (l *Builder) Tables(ctx context.Context, orders []Target) ([]popularity.Table, error) {
	load := l.LoadTable
	if load == nil {
		load = crawl.Load
	}
	type name struct{ where, sum string }
	loaded := map[name]popularity.Table{}
	tables := make([]popularity.Table, len(orders))
	for i, order := range orders {
		n := name{order.Layers.Popularity, order.Layers.PopularitySHA256}
		table, ok := loaded[n]
		if !ok {
			var err error
			if table, err = load(ctx, n.where, n.sum); err != nil {
				return nil, fmt.Errorf("image %s: %w", order.Name, err)
			}
			loaded[n] = table
			l.Log.Log(ctx, levelOf(table), "popularity table", "source", table.Source, "sha256", table.SHA256, "names", len(table.Counts))
		}
		tables[i] = table
	}
	return tables, nil
}

// levelOf lets those who chose a table see it; the others find it in the report.
func levelOf(table popularity.Table) slog.Level {
	if table.Source == "embedded" {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

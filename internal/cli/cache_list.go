package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/logline"
	"github.com/org/nixery-action/internal/progress"
)

func newCacheList(c *console) *cobra.Command {
	var place cachePlace
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what builds have kept in a cache",
		Long: "list shows the entries of nixery-action in a cache: ledgers, the metadata that\n" +
			"runs cached, a series for each image and platform; and blobs, the layers that\n" +
			"mode=max keeps. For the Actions cache it needs GITHUB_TOKEN, with actions: read.",
		Example: "  nixery-action cache list --repository acme/toolbox\n" +
			"  nixery-action cache list --registry ghcr.io/acme/cache --format json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return interrupted(cmd.Context(), listCache(cmd.Context(), c, place))
		},
	}
	place.addFlags(cmd)
	return cmd
}

func listCache(ctx context.Context, c *console, place cachePlace) error {
	if err := place.check(); err != nil {
		return err
	}
	inventory, err := place.open(c)
	if err != nil {
		return err
	}
	all, err := inventory.List(ctx)
	if err != nil {
		return err
	}
	all = cache.NewestFirst(all)
	if place.format == "json" {
		return printJSON(c.stdout, struct {
			Cache   string        `json:"cache"`
			Size    int64         `json:"size"`
			Entries []cachedEntry `json:"entries"`
		}{inventory.String(), cache.Sum(all), cachedEntries(all)})
	}
	if err := writeEntries(c.stdout, all, time.Now()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.stdout, "%s: %s\n", inventory, amount(all))
	return err
}

// cachedEntry is an entry in JSON.
type cachedEntry struct {
	Name string    `json:"name"`
	Kind string    `json:"kind"` // ledger or blob
	Lane string    `json:"lane"` // a row of entries, of which the newest counts
	Ref  string    `json:"ref,omitempty"`
	Made time.Time `json:"made,omitzero"`
	Used time.Time `json:"used,omitzero"`
	Size int64     `json:"size"` // bytes
}

func cachedEntries(all []cache.Kept) []cachedEntry {
	entries := []cachedEntry{}
	for _, k := range all {
		entries = append(entries, cachedEntry{k.Name.String(), kindOf(k), string(k.Name.Scope), k.Ref, k.Made, k.Used, k.Size})
	}
	return entries
}

func kindOf(k cache.Kept) string {
	if k.IsBlob() {
		return "blob"
	}
	return "ledger"
}

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// writeEntries writes a table for people. Lanes are cut short: that tells them apart.
func writeEntries(w io.Writer, all []cache.Kept, now time.Time) error {
	if len(all) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "kind\tlane\tserial\tsize\tmade\tused\tref")
	for _, k := range all {
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", kindOf(k), shortLane(k.Name.Scope), k.Name.Serial, progress.Size(k.Size),
			age(k.Made, now), age(k.Used, now), logline.Clean(k.Ref))
	}
	return table.Flush()
}

func shortLane(lane cache.Scope) string {
	hash := string(lane[strings.LastIndexByte(string(lane), '-')+1:])
	return hash[:min(len(hash), 12)]
}

// age is in the largest unit that is full.
func age(then, now time.Time) string {
	if then.IsZero() {
		return "-"
	}
	switch d := now.Sub(then); {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd ago", d/(24*time.Hour))
	case d >= time.Hour:
		return fmt.Sprintf("%dh ago", d/time.Hour)
	default:
		return fmt.Sprintf("%dm ago", max(d, 0)/time.Minute)
	}
}

func amount(all []cache.Kept) string {
	noun := "entries"
	if len(all) == 1 {
		noun = "entry"
	}
	return fmt.Sprintf("%d %s, %s", len(all), noun, progress.Size(cache.Sum(all)))
}

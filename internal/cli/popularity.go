package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/popularity/crawl"
)

func newPopularity(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "popularity",
		Short: "Make tables of how many packages refer to a package",
		Long: "A popularity table tells the planner which store paths other images are likely to\n" +
			"have as well. One comes with the program; a spec may name another.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCount(c), newPublish(c))
	return cmd
}

var channelNames = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`)

type countOptions struct {
	closures   []string
	cache      string
	storePaths string
	channel    string
	channels   string
	keys       []string
	state      string
	jobs       int
	least      int64
	output     string
	metadata   string
}

const (
	channelsURL = "https://channels.nixos.org"
	// Where channels' packages are, and who signs them: https://nixos.org.
	channelCache = "https://cache.nixos.org"
	channelKey   = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="
)

func newCount(c *console) *cobra.Command {
	var o countOptions
	cmd := &cobra.Command{
		Use:   "count",
		Short: "Count the references in a store, in closures or in a binary cache",
		Long: "count makes a popularity table: for each name without version, how many store paths\n" +
			"refer to it. It counts the local store, or closures, or what a binary cache knows of\n" +
			"a list of store paths. With --state, a count of a binary cache that was interrupted\n" +
			"goes on where it was.",
		Example: "  nixery-action popularity count --output table.json\n" +
			"  nixery-action popularity count --closure server.json --closure laptop.json.gz\n" +
			"  nixery-action popularity count --channel nixos-25.11 --state count.state --output table.json\n" +
			"  nixery-action popularity count --binary-cache https://cache.example.org --store-paths paths.xz",
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := count(cmd.Context(), c, o)
			if err != nil && cmd.Context().Err() != nil && o.state != "" {
				err = fmt.Errorf("%w; the same command goes on from %s", err, o.state)
			}
			return interrupted(cmd.Context(), err)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.closures, "closure", nil, "count this closure: what nix path-info --json -r prints, or that gzipped; - is standard input (repeatable)")
	f.StringVar(&o.cache, "binary-cache", "", "count the store paths of --store-paths in this binary cache, a URL")
	f.StringVar(&o.storePaths, "store-paths", "", "a list of store paths, one a line, or that compressed with xz: a file or a URL")
	f.StringVar(&o.channel, "channel", "", "count a channel of nixpkgs, such as nixos-25.11, in "+channelCache+" or --binary-cache")
	f.StringVar(&o.channels, "channels-url", channelsURL, "where channels are")
	f.StringArrayVar(&o.keys, "trusted-public-key", nil, "count only what this key has signed, NAME:BASE64 (repeatable; for a channel that of its cache)")
	f.StringVar(&o.state, "state", "", "keep what the binary cache has answered in this file until the table is written")
	f.IntVar(&o.jobs, "jobs", 32, "requests to the binary cache at once")
	f.Int64Var(&o.least, "min-count", 1, "leave out names that fewer store paths refer to")
	f.StringVar(&o.output, "output", "", "write the table to this file, gzipped if its name ends in .gz, instead of to standard output")
	f.StringVar(&o.metadata, "metadata-file", "", "write what was counted, and what was lost, to this file, as JSON")
	for _, remote := range []string{"binary-cache", "store-paths", "channel", "state", "trusted-public-key"} {
		cmd.MarkFlagsMutuallyExclusive("closure", remote)
	}
	cmd.MarkFlagsMutuallyExclusive("channel", "store-paths")
	_ = f.MarkHidden("channels-url") // for tests and mirrors
	return cmd
}

// complete checks what flags must agree on, and lets a channel imply its cache
// and key.
func (o *countOptions) complete() error {
	remote := o.cache != "" || o.channel != "" || o.storePaths != ""
	switch {
	case o.jobs < 1 || o.jobs > 1000:
		return usagef("jobs %d: want 1 to 1000", o.jobs)
	case o.least < 1:
		return usagef("min-count %d: want at least 1", o.least)
	case o.channel != "" && !channelNames.MatchString(o.channel):
		return usagef("channel %q: want a name such as nixos-25.11", o.channel)
	case !remote && (o.state != "" || len(o.keys) > 0):
		return usagef("--state and --trusted-public-key are for a binary cache; give --channel, or --binary-cache and --store-paths")
	case o.cache != "" && o.channel == "" && o.storePaths == "":
		return usagef("a binary cache has no list of what is in it; give --store-paths, or --channel")
	case o.storePaths != "" && o.cache == "":
		return usagef("give the --binary-cache that has these store paths")
	}
	if o.channel != "" && o.cache == "" {
		o.cache = channelCache
		if len(o.keys) == 0 {
			o.keys = []string{channelKey}
		}
	}
	return nil
}

// count writes a table, and only then lets go of the state that led to it.
func count(ctx context.Context, c *console, o countOptions) error {
	if err := o.complete(); err != nil {
		return err
	}
	if err := errors.Join(c.checkFile(o.output), c.checkFile(o.metadata), c.checkFile(o.state), checkOutput(o.output), checkOutput(o.metadata)); err != nil {
		return err
	}
	census, source, err := o.census(ctx, c)
	if err != nil {
		return err
	}
	counts := census.Tally.Counts(o.least)
	if err := writeTable(o.output, c.stdout, counts); err != nil {
		return err
	}
	made := origin{
		Source: source, Referrers: census.Tally.Referrers(), Names: len(counts), SHA256: counts.SHA256(),
		Lost: append([]crawl.Loss{}, census.Lost...),
	}
	c.log.Info("popularity table", "names", made.Names, "referrers", made.Referrers, "sha256", made.SHA256)
	if o.metadata != "" {
		if err := writeJSON(o.metadata, made); err != nil {
			return err
		}
	}
	if o.state != "" && census.Complete() {
		return os.Remove(o.state)
	}
	return nil
}

// origin is what the metadata file says of a table.
type origin struct {
	Source    string       `json:"source"`    // "the store", the closures' files, or where the list of store paths was found
	Referrers int          `json:"referrers"` // store paths that were counted
	Names     int          `json:"names"`     // in the table
	SHA256    string       `json:"sha256"`    // as a build reports it
	Lost      []crawl.Loss `json:"lost"`      // store paths that were not counted
}

// census counts the one source that the options name.
func (o countOptions) census(ctx context.Context, c *console) (census *crawl.Census, source string, err error) {
	switch {
	case o.cache != "":
		return o.countCache(ctx, c)
	case len(o.closures) > 0:
		census, err = countClosures(ctx, o.closures)
		return census, strings.Join(o.closures, ", "), err
	}
	nix, err := newNix(c)
	if err != nil {
		return nil, "", err
	}
	nix.Stderr = func(line string) { c.log.Debug(line) }
	infos, err := nixbuild.QueryStore(ctx, nix)
	return tallied(infos), "the store", err
}

func countClosures(ctx context.Context, files []string) (*crawl.Census, error) {
	var infos []nix.PathInfo
	for _, file := range files {
		closure, err := readClosure(ctx, file)
		if err != nil {
			return nil, err
		}
		infos = append(infos, closure.Paths...)
	}
	return tallied(infos), nil
}

func tallied(infos []nix.PathInfo) *crawl.Census {
	tally := &crawl.Tally{}
	for _, info := range infos {
		tally.Add(info.Path, info.References)
	}
	return &crawl.Census{Tally: tally}
}

func (o countOptions) countCache(ctx context.Context, c *console) (census *crawl.Census, from string, err error) {
	keys, err := crawl.ParseKeys(o.keys)
	if err != nil {
		return nil, "", usageError{err}
	}
	cache := &crawl.Cache{
		URL: o.cache, Keys: keys, Jobs: o.jobs, State: o.state, Agent: userAgent(), Log: c.log,
	}
	list := cmp.Or(o.storePaths, o.channels+"/"+o.channel+"/store-paths.xz")
	paths, from, err := cache.StorePaths(ctx, list)
	if err != nil {
		return nil, "", err
	}
	c.log.Info("store paths", "from", from, "count", len(paths))
	census, err = countWithProgress(ctx, c, cache, paths)
	return census, from, err
}

func countWithProgress(ctx context.Context, c *console, cache *crawl.Cache, paths []nix.StorePath) (*crawl.Census, error) {
	stage := c.display.Stage("counting")
	stage.Total(len(paths), 0)
	pace := newPace(len(paths))
	census, err := cache.Count(ctx, paths, func(done int) {
		stage.Add(done, 0)
		stage.Status(pace.after(done))
	})
	if lost, ok := errors.AsType[*crawl.LostError](err); ok {
		tellLost(c.log, lost.Census)
	}
	if err != nil {
		return nil, err
	}
	stage.Done("")
	tellLost(c.log, census)
	return census, nil
}

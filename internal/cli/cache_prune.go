package cli

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/progress"
)

type pruneOptions struct {
	cachePlace
	keep    int
	maxSize string
	yes     bool
}

func newCachePrune(c *console) *cobra.Command {
	var o pruneOptions
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove from a cache what is of no more use",
		Long: "prune removes entries of nixery-action from a cache, and no others: ledgers that\n" +
			"newer ones have taken the place of, and blobs that do not fit --max-size, those\n" +
			"first that were not used for longest. It only says what it would do, unless --yes\n" +
			"is given. For the Actions cache it needs GITHUB_TOKEN, with actions: write.",
		Example: "  nixery-action cache prune --repository acme/toolbox --max-size 2GB\n" +
			"  nixery-action cache prune --dir .cache/nixery --keep 2 --yes",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return interrupted(cmd.Context(), pruneCache(cmd.Context(), c, o))
		},
	}
	o.addFlags(cmd)
	f := cmd.Flags()
	f.IntVar(&o.keep, "keep", 1, "how many of the newest entries of each lane and branch stay")
	f.StringVar(&o.maxSize, "max-size", "", "what all entries may have together, such as 500MB, 2GB or 2GiB")
	f.BoolVar(&o.yes, "yes", false, "remove, and do not only say so")
	return cmd
}

func (o pruneOptions) policy() (cache.Policy, error) {
	if err := o.check(); err != nil {
		return cache.Policy{}, err
	}
	if o.keep < 1 {
		return cache.Policy{}, usagef("keep %d: want at least 1", o.keep)
	}
	size, err := parseSize(o.maxSize)
	return cache.Policy{Keep: o.keep, Size: size}, err
}

func pruneCache(ctx context.Context, c *console, o pruneOptions) error {
	policy, err := o.policy()
	if err != nil {
		return err
	}
	inventory, err := o.open(c)
	if err != nil {
		return err
	}
	all, err := inventory.List(ctx)
	if err != nil {
		return err
	}
	surplus := policy.Surplus(all)
	if o.yes {
		if err := removeAll(ctx, inventory, surplus); err != nil {
			return err
		}
	}
	return o.tell(c, inventory, all, cache.NewestFirst(surplus))
}

// removeAll goes one by one, as GitHub asks of those who change something.
func removeAll(ctx context.Context, inventory cache.Inventory, surplus []cache.Kept) error {
	for i, entry := range surplus {
		if err := inventory.Remove(ctx, entry); err != nil {
			return fmt.Errorf("%w; %d of %d entries were removed", err, i, len(surplus))
		}
	}
	return nil
}

func (o pruneOptions) tell(c *console, inventory cache.Inventory, all, surplus []cache.Kept) error {
	left := cache.Sum(all) - cache.Sum(surplus)
	if o.format == "json" {
		return printJSON(c.stdout, struct {
			Cache   string        `json:"cache"`
			Removed bool          `json:"removed"` // false in a dry run
			Size    int64         `json:"size"`    // of the entries
			Left    int64         `json:"left"`    // bytes of all others
			Entries []cachedEntry `json:"entries"` // that are removed
		}{inventory.String(), o.yes, cache.Sum(surplus), left, cachedEntries(surplus)})
	}
	if len(surplus) == 0 {
		_, err := fmt.Fprintf(c.stdout, "%s: %s, and none to remove\n", inventory, amount(all))
		return err
	}
	if err := writeEntries(c.stdout, surplus, time.Now()); err != nil {
		return err
	}
	done := "would be removed; --yes does it"
	if o.yes {
		done = "removed"
	}
	_, err := fmt.Fprintf(c.stdout, "%s: %s of %s %s; %s stay\n", inventory, amount(surplus), amount(all), done, progress.Size(left))
	return err
}

// sizeUnits are as docker and Kubernetes have them.
var sizeUnits = []struct {
	name  string
	bytes float64
}{
	{"KIB", 1 << 10}, {"MIB", 1 << 20}, {"GIB", 1 << 30}, {"TIB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

// parseSize reads a number of bytes; an empty text is 0.
func parseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	for _, unit := range sizeUnits {
		number, ok := strings.CutSuffix(strings.ToUpper(text), unit.name)
		if !ok {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if bytes := value * unit.bytes; err == nil && bytes >= 1 && bytes < math.MaxInt64 {
			return int64(bytes), nil
		}
		break
	}
	return 0, usagef("size %q: want a number of bytes such as 500MB, 2GB or 2GiB", text)
}

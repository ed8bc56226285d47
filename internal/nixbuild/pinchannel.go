package nixbuild

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/org/nixery-action/internal/fetch"
	"github.com/org/nixery-action/internal/retry"
)

const (
	channelTimeout = 30 * time.Second // of one attempt to ask which commit a channel is at
	maxCommit      = 1024             // bytes of the answer, which is a line
)

// channelRetry is shorter than the usual policy: a run that cannot ask evaluates nothing.
var channelRetry = retry.Policy{Attempts: 3}

// channelCommit asks which commit of nixpkgs a channel is at. A channel's
// releases have it in a file, https://releases.nixos.org. The commit's archive
// is what is fetched then, and not the release: so the pin is something that a
// spec can say, with the same result.
func (s Source) channelCommit(ctx context.Context) (string, error) {
	address := orDefault(s.ChannelBase, officialChannels) + "/" + s.Channel + "/git-revision"
	u, err := fetch.Parse(address)
	if err != nil {
		return "", err
	}
	client := fetch.New(fetch.Options{Timeout: channelTimeout, Retry: channelRetry})
	defer client.Close()
	text, _, err := client.Get(ctx, u, maxCommit, nil)
	if err != nil {
		return "", fmt.Errorf("asking %s for its commit: %w", fetch.Bare(u), err)
	}
	commit := strings.TrimSpace(string(text))
	if !commitPattern.MatchString(commit) {
		return "", fmt.Errorf("asking %s for its commit: it says %.80q", fetch.Bare(u), text)
	}
	return commit, nil
}

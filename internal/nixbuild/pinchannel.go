package nixbuild

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// channelTimeout bounds the question where a channel is; the answer is a line.
const channelTimeout = 30 * time.Second

// channelCommit asks which commit of nixpkgs a channel is at. A channel's
// releases have it in a file, https://releases.nixos.org. The commit's archive
// is what is fetched then, and not the release: so the pin is something that a
// spec can say, with the same result.
func (s Source) channelCommit(ctx context.Context) (string, error) {
	const tries = 3
	address := orDefault(s.ChannelBase, officialChannels) + "/" + s.Channel + "/git-revision"
	for try := 1; ; try++ {
		commit, again, err := askCommit(ctx, address)
		if err == nil || !again || try == tries || ctx.Err() != nil {
			return commit, err
		}
	}
}

// askCommit tells also whether asking again may help.
func askCommit(ctx context.Context, address string) (commit string, again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, channelTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return "", false, err
	}
	resp, err := (&http.Client{CheckRedirect: staySafe}).Do(req)
	if err != nil {
		return "", !errors.Is(err, errUnsafe), fmt.Errorf("asking for its commit: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", resp.StatusCode >= http.StatusInternalServerError, fmt.Errorf("asking %s for its commit: %s", address, resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
	if err != nil {
		return "", true, fmt.Errorf("asking %s for its commit: %w", address, err)
	}
	if commit = strings.TrimSpace(string(text)); !commitPattern.MatchString(commit) {
		return "", false, fmt.Errorf("asking %s for its commit: it says %q", address, text)
	}
	return commit, false, nil
}

var errUnsafe = errors.New("it is redirected to an address without TLS, or too often")

// staySafe follows the official channels, which redirect twice, but not from
// TLS to plain HTTP.
func staySafe(to *http.Request, via []*http.Request) error {
	const most = 5
	if len(via) > most || to.URL.Scheme != "https" && via[0].URL.Scheme != "http" {
		return errUnsafe
	}
	return nil
}

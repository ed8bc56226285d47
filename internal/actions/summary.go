package actions

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/org/nixery-action/internal/plainfile"
)

// AppendSummary appends Markdown to the page of the step's run. The runner takes 1 MiB of a step.
func AppendSummary(file, markdown string) error {
	if err := appendFile(file, markdown); err != nil {
		return fmt.Errorf("writing the step's summary: %w", err)
	}
	return nil
}

// ErrNoPullRequest says that a run is of something else.
var ErrNoPullRequest = errors.New("the run is of no pull request")

// longestEvent is as much of an event as webhooks have
// (https://docs.github.com/webhooks/webhook-events-and-payloads).
const longestEvent = 25 << 20

// PullRequest is the number of the pull request that a run is of, from the file
// that GITHUB_EVENT_PATH names. The error is ErrNoPullRequest if it is of none.
func PullRequest(file string) (int, error) {
	if file == "" {
		return 0, ErrNoPullRequest
	}
	f, err := plainfile.Open(file)
	if err != nil {
		return 0, fmt.Errorf("reading the event: %w", err)
	}
	defer f.Close()
	var event struct {
		PullRequest struct {
			Number int `json:"number"`
		} `json:"pull_request"`
	}
	if err := json.NewDecoder(io.LimitReader(f, longestEvent)).Decode(&event); err != nil {
		return 0, fmt.Errorf("reading the event in %s: %w", file, err)
	}
	if event.PullRequest.Number <= 0 {
		return 0, ErrNoPullRequest
	}
	return event.PullRequest.Number, nil
}

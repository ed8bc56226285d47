package cli

import (
	"fmt"
	"log/slog"

	"github.com/org/nixery-action/internal/popularity/crawl"
)

// mostTold is how many store paths are named that are not in the counts. All of
// them could be a hundred thousand lines.
const mostTold = 20

// tellLost warns once, and names the store paths in lines of their own.
func tellLost(log *slog.Logger, census *crawl.Census) {
	if len(census.Lost) == 0 {
		return
	}
	log.Warn("the references of some store paths are not counted: " + census.Sum())
	for _, loss := range census.Lost[:min(len(census.Lost), mostTold)] {
		line := fmt.Sprintf("  %s: %s", loss.Path, loss.Why)
		if loss.Detail != "" {
			line += ": " + loss.Detail
		}
		log.Info(line)
	}
	if more := len(census.Lost) - mostTold; more > 0 {
		log.Info(fmt.Sprintf("  and %d more", more))
	}
	if !census.Complete() {
		log.Info("the next run with the same --state asks again for what had no answer")
	}
}

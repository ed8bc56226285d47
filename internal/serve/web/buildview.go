package web

import (
	"fmt"
	"strings"
	"time"

	"github.com/org/nixery-action/internal/serve"
)

// buildView is a build in words.
type buildView struct{ serve.Build }

// Image is how it was asked for.
func (b buildView) Image() string { return b.Name + ":" + b.Tag }

// Class is the phase as the style sheet knows it.
func (b buildView) Class() string {
	switch b.Phase {
	case serve.Done:
		return "done"
	case serve.Failed, serve.TimedOut:
		return "failed"
	case serve.Running, serve.Waiting:
		return "running"
	}
	return "abandoned"
}

// Variant is what was made.
func (b buildView) Variant() string { return strings.Join(b.Architectures, ", ") + ", " + b.Format }

// Stamp and Day are when it was asked for: for programs, and for people.
func (b buildView) Stamp() string { return b.Asked.UTC().Format(time.RFC3339) }

// Day is that for people.
func (b buildView) Day() string { return b.Asked.UTC().Format("2 Jan 2006, 15:04:05 UTC") }

// Took is how long it ran, or has run by now.
func (b buildView) Took() string {
	switch {
	case b.Began.IsZero():
		return ""
	case b.Ended.IsZero():
		return "for " + round(time.Since(b.Began))
	}
	return "in " + round(b.Ended.Sub(b.Began))
}

func round(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// DigestText is empty if there is none.
func (b buildView) DigestText() string {
	if b.Digest.Hex == "" {
		return ""
	}
	return b.Digest.String()
}

// LogText is the log as it was written.
func (b buildView) LogText() string { return strings.Join(b.Log, "\n") }

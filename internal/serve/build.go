package serve

import (
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Phase is how far a build is.
type Phase string

// The phases of a build; the last four are ends.
const (
	Waiting   Phase = "waiting"
	Running   Phase = "running"
	Done      Phase = "done"
	Failed    Phase = "failed"
	Abandoned Phase = "abandoned" // its last client went away
	TimedOut  Phase = "timed out"
)

// Build is what is known of a build now.
type Build struct {
	Serial        int64 // 1 is the first since the server began
	Name, Tag     string
	Architectures []string
	Format        string // docker or oci
	Phase         Phase
	Clients       int       // that wait for it
	Asked         time.Time // for it, by the first client
	Began, Ended  time.Time // zero if it has not
	Pinned        string    // what the source stood for, as "nixpkgs commit 1f…"; empty if unknown
	Digest        v1.Hash   // if it is done
	Err           string    // if it is not, and never will be
	Log           []string  // its last lines, without control characters or secrets; they are not escaped
}

package build

import (
	"slices"
	"sync"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/report"
	"github.com/org/nixery-action/internal/spec"
)

// Titles of warnings, as annotations have them.
const (
	titleConflict   = "Packages have the same file"
	titleProgram    = "Program cannot be started"
	titleUser       = "User does not exist"
	titleCredential = "File that may hold credentials"
)

// Warning is a likely mistake in an image that is built all the same.
type Warning struct {
	report.Warning
	Pos spec.Position // in the spec's file; zero if it has no place there
}

// maxWarnings bounds the warnings of one kind that a run gives of an image.
const maxWarnings = 20

// warnings are a run's, each once. The zero value is ready.
type warnings struct {
	mu          sync.Mutex
	given       []report.Warning
	credentials map[nix.StorePath]map[string]bool // names of files, by the store path that contains them
}

// warn gives a warning, unless an equal one was given, as for another platform.
func (j *job) warn(w Warning) {
	if slices.Contains(j.warnings.given, w.Warning) {
		return
	}
	j.warnings.given = append(j.warnings.given, w.Warning)
	if j.Warn != nil {
		j.Warn(w)
		return
	}
	j.Log.Warn(w.Message, "image", w.Image)
}

package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/actions"
)

// What a step can be given, a command line can be given too, but for what is of use in a workflow only.
func TestInputsHaveFlags(t *testing.T) {
	flags := newBuild(&console{}).Flags()
	inWorkflows := []string{"summary", "comment", "github-token"}
	for _, input := range actions.InputTable() {
		if slices.Contains(inWorkflows, input.Name) {
			continue
		}
		if name := strings.TrimPrefix(actions.FlagOf(input.Name), "--"); flags.Lookup(name) == nil {
			t.Errorf("input %s: build has no flag --%s", input.Name, name)
		}
	}
}

package spec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/bounded/boundedtest"
)

// Aliases of aliases stay what they are: one line of text each. Deep and long ones are errors, and cost little.
func TestSpecBombs(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [lol]\n")
	for i := range 60 {
		fmt.Fprintf(&laughs, "a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), i)
	}
	for title, text := range map[string]string{
		"laughs":           laughs.String() + "packages: *a60\n",
		"laughs in config": laughs.String() + "packages: [git]\nnixpkgs: {channel: nixos-25.11, config: {x: *a60}}\n",
		"merged":           "a: &a {<<: [*a, *a]}\npackages: [git]\n",
		"itself":           "packages: &p [*p]\n",
		"nested":           "packages: " + strings.Repeat("[", 100_000),
		"anchors":          strings.Repeat("a: &a\n", 50_000),
	} {
		boundedtest.Within(t, 256<<20, func() {
			if s, err := Parse("nixery.yaml", []byte(text), nil); err == nil {
				t.Errorf("%s: %v", title, s.Images)
			}
		})
	}
}

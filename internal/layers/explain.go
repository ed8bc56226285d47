package layers

import (
	"github.com/org/nixery-action/internal/nix"
)

// Tier is the rule that made a group.
type Tier string

// The tiers of a plan.
const (
	Single      Tier = "single"      // the budget has a layer for every path
	Heavy       Tier = "heavy"       // one of the largest paths, alone
	Light       Tier = "light"       // a run of neighbours in risk
	Application Tier = "application" // what nothing in the closure refers to, unless it is heavy
)

// Explained is a group with the reasons of the planner.
type Explained struct {
	Group Group
	Tier  Tier
	Risk  int64 // sum of the hazards, at least 1 each, of all that the group's paths reach
}

// Explain is [Plan] with its reasons: the same groups in the same order.
func Explain(closure nix.Closure, opts Options) []Explained {
	g := newGraph(closure, opts.Counts)
	budget := max(opts.Budget, 1)
	if len(g.nodes) <= budget {
		return g.order(singles(Single, g.all()))
	}
	return g.order(divide(g, budget))
}

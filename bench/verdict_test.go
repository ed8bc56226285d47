package bench

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/org/nixery-action/internal/layers"
)

// verdict is what each trial costs in each column.
type verdict struct {
	trials []trial
	costs  map[column][]cost // in the order of trials
}

type column struct {
	strategy string
	budget   int
}

var budgets = []int{20, 40, layers.DefaultBudget}

func judge(trials []trial, strategies []strategy) verdict {
	usable := func(t trial) bool { return t.kept+t.ideal > 0 }
	v := verdict{costs: map[column][]cost{}}
	for _, t := range trials {
		if usable(t) {
			v.trials = append(v.trials, t)
		}
	}
	var wait sync.WaitGroup
	for _, s := range strategies {
		for _, budget := range budgets {
			costs := make([]cost, len(v.trials))
			v.costs[column{s.name, budget}] = costs
			wait.Go(func() {
				p := newPlanner(s, budget)
				for i, t := range v.trials {
					costs[i] = t.cost(p)
				}
			})
		}
	}
	wait.Wait()
	return v
}

// measure is a ratio of a trial, if that has one.
type measure func(trial, cost) (ratio float64, ok bool)

func rebuildAndFleet(t trial, c cost) (float64, bool) { return t.ratio(c.fresh), true }
func chain(t trial, c cost) (float64, bool)           { return t.ratio(c.above), t.kind != fleet }
func only(kind string) measure {
	return func(t trial, c cost) (float64, bool) { return t.ratio(c.fresh), t.kind == kind }
}

// mean is the geometric mean over all trials.
func (v verdict) mean(at column, of measure) float64 {
	var sum, n float64
	for i, c := range v.costs[at] {
		if ratio, ok := of(v.trials[i], c); ok {
			sum += math.Log(ratio)
			n++
		}
	}
	return math.Exp(sum / n)
}

// worseImages names the trials in which a strategy costs more than its rival.
func (v verdict) worseImages(strategy, rival string, budget int) []string {
	var names []string
	theirs := v.costs[column{rival, budget}]
	for i, c := range v.costs[column{strategy, budget}] {
		if t := v.trials[i]; c.fresh > theirs[i].fresh {
			names = append(names, fmt.Sprintf("%s, budget %d: %s, %s, %s", strategy, budget, t.kind, t.set, t.image))
		}
	}
	return names
}

// worseCases names the kinds of steps that, over all images of a set, cost more
// bytes than with the rival.
func (v verdict) worseCases(strategy, rival string, budget int) []string {
	var names []string
	excess := map[string]int64{}
	theirs := v.costs[column{rival, budget}]
	for i, c := range v.costs[column{strategy, budget}] {
		name := fmt.Sprintf("%s, budget %d: %s, %s", strategy, budget, v.trials[i].kind, v.trials[i].set)
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		excess[name] += c.fresh - theirs[i].fresh
	}
	return slices.DeleteFunc(names, func(name string) bool { return excess[name] <= 0 })
}

func (v verdict) trialsOf(kind string) int {
	n := 0
	for _, t := range v.trials {
		if t.kind == kind {
			n++
		}
	}
	return n
}

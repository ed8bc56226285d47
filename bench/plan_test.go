package bench

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var (
	costsFile = flag.String("costs", "", "write what plans cost to this file, in Markdown")
	update    = flag.Bool("update", false, "accept the present output as golden")
	moreFiles = flag.String("closures", "", "judge plans of these closures too; separated by spaces")
)

// BenchmarkPlanCosts compares this plan and its rivals by the bytes that changes and fleets cost, and reports ratios to the ideal of one
// layer a path, which are the same on every machine. It fails
//
//   - if another strategy has a mean as good as this plan's,
//   - if a kind of step costs more than with Nixery's groups, over all images of a set, with or without a table,
//   - if it does for a single image that testdata/plan-costs.json does not list, or if a mean is over the one there by more than 2 %.
//
// The images of that file are those where a new package shifts the runs of light paths, or where one of many packages that share the
// application layer changes. After a better plan, write the file again: go test -run '^$' -bench PlanCosts -benchtime 1x ./bench -args -update
func BenchmarkPlanCosts(b *testing.B) {
	var report strings.Builder
	for b.Loop() {
		report.Reset()
		report.WriteString(legend)
		kept := judge(keptTrials(b), strategies)
		kept.write(&report, "The closures of testdata")
		judge(largeTrials(b), strategies).write(&report, "Images of hundreds of paths")
		if files := strings.Fields(*moreFiles); len(files) > 0 {
			judge(givenTrials(b, files), strategies).write(&report, "The closures given")
		}
		for _, budget := range budgets {
			b.ReportMetric(kept.mean(column{ours, budget}, rebuildAndFleet), fmt.Sprintf("x-ideal-%d", budget))
		}
		if *update {
			kept.record().write(b)
		}
		regressions := kept.regressions(readCostRecord(b))
		for i, regression := range regressions {
			if i == 0 {
				report.WriteString("## Regressions\n\n")
			}
			fmt.Fprintf(&report, "- %s\n", regression)
			b.Error(regression)
		}
	}
	if *costsFile != "" {
		if err := os.WriteFile(*costsFile, []byte(report.String()), 0o644); err != nil {
			b.Fatal(err)
		}
	}
}

const legend = `# What plans cost

A layer is the same if its store paths are. All figures are bytes over the ideal of one layer a path; lower is better.

- Rebuild: bytes in layers that are new after a step, over bytes in store paths that are. A changed path changes all that reach it, as
  Nix's hashes do. After a removal no path is new: there it is bytes that stay and bytes that are sent again, over bytes that stay.
- Fleet: bytes of the distinct layers of many images, over bytes of their distinct store paths.
- Chain: bytes from the first layer on whose stack differs, over the rebuild's ideal; not in the mean.
- A trial is an image and a kind of step, or a fleet; the bytes of all its steps are summed up, each as likely. Means are geometric, over trials.

`

func (v verdict) write(w io.Writer, title string) {
	fmt.Fprintf(w, "## %s\n\nGeometric means of %d trials, rebuilds and fleets.\n\n", title, len(v.trials))
	writeHead(w, "budget")
	for _, budget := range budgets {
		v.writeMeans(w, fmt.Sprint(budget), budget, rebuildAndFleet)
	}
	for _, budget := range budgets {
		fmt.Fprintf(w, "\n### %s: budget %d\n\n", title, budget)
		writeHead(w, "trials")
		for _, kind := range kinds {
			if n := v.trialsOf(kind); n > 0 {
				v.writeMeans(w, fmt.Sprintf("%s (%d)", kind, n), budget, only(kind))
			}
		}
		v.writeMeans(w, "chain, of all rebuilds", budget, chain)
		v.writeWorse(w, "trials worse than Nixery", budget, v.worseImages)
		v.writeWorse(w, "worse, kinds × image sets", budget, v.worseCases)
	}
	fmt.Fprintln(w)
}

func writeHead(w io.Writer, first string) {
	fmt.Fprintf(w, "| %s |", first)
	for _, s := range strategies {
		fmt.Fprintf(w, " %s |", s.name)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---:|", len(strategies)))
}

func (v verdict) writeMeans(w io.Writer, first string, budget int, of measure) {
	fmt.Fprintf(w, "| %s |", first)
	for _, s := range strategies {
		fmt.Fprintf(w, " %.3f |", v.mean(column{s.name, budget}, of))
	}
	fmt.Fprintln(w)
}

func (v verdict) writeWorse(w io.Writer, first string, budget int, worse func(strategy, rival string, budget int) []string) {
	fmt.Fprintf(w, "| %s |", first)
	for _, s := range strategies {
		rival := nixery
		if strings.HasSuffix(s.name, noTable) {
			rival += noTable
		}
		fmt.Fprintf(w, " %d |", len(worse(s.name, rival, budget)))
	}
	fmt.Fprintln(w)
}

// costRecord is what this plan has reached.
type costRecord struct {
	Means map[string]float64 `json:"means"` // by strategy and budget
	Worse []string           `json:"worse"` // trials on which it costs more than Nixery
}

const costRecordFile = "testdata/plan-costs.json"

func (v verdict) record() costRecord {
	record := costRecord{Means: map[string]float64{}}
	for _, table := range []string{"", noTable} {
		for _, budget := range budgets {
			record.Worse = append(record.Worse, v.worseImages(ours+table, nixery+table, budget)...)
			record.Means[fmt.Sprintf("%s, budget %d", ours+table, budget)] = v.mean(column{ours + table, budget}, rebuildAndFleet)
		}
	}
	return record
}

func (r costRecord) write(t testing.TB) {
	t.Helper()
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(costRecordFile, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readCostRecord(t testing.TB) (r costRecord) {
	t.Helper()
	text, err := os.ReadFile(costRecordFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatalf("%s: %v", costRecordFile, err)
	}
	return r
}

// regressions says in what this plan is worse than its rivals or than the record.
func (v verdict) regressions(old costRecord) (texts []string) {
	for _, budget := range budgets {
		mean := v.mean(column{ours, budget}, rebuildAndFleet)
		for _, s := range strategies {
			theirs := v.mean(column{s.name, budget}, rebuildAndFleet)
			if !strings.HasPrefix(s.name, ours) && theirs <= mean {
				texts = append(texts, fmt.Sprintf("budget %d: %s has a mean of %.4f, this plan %.4f", budget, s.name, theirs, mean))
			}
		}
		for _, table := range []string{"", noTable} {
			for _, worse := range v.worseCases(ours+table, nixery+table, budget) {
				texts = append(texts, "worse than Nixery: "+worse)
			}
		}
	}
	now := v.record()
	for _, name := range slices.Sorted(maps.Keys(now.Means)) {
		if mean := now.Means[name]; mean > 1.02*old.Means[name] {
			texts = append(texts, fmt.Sprintf("%s: %.4f times the ideal instead of %.4f", name, mean, old.Means[name]))
		}
	}
	for _, name := range now.Worse {
		if !slices.Contains(old.Worse, name) {
			texts = append(texts, "worse than Nixery, and not on record: "+name)
		}
	}
	return texts
}

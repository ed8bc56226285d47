package bench

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
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

// BenchmarkPlanCosts judges this plan and its rivals by the bytes they cost
// after changes and over fleets. What it reports are ratios to the ideal of one
// layer a path, which no machine changes.
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
			kept.reportBest(b, budget)
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

// reportBest fails the benchmark if some other strategy has a mean as good.
func (v verdict) reportBest(b *testing.B, budget int) {
	b.Helper()
	mean := v.mean(column{ours, budget}, rebuildAndFleet)
	b.ReportMetric(mean, fmt.Sprintf("x-ideal-%d", budget))
	for _, s := range strategies {
		theirs := v.mean(column{s.name, budget}, rebuildAndFleet)
		if !strings.HasPrefix(s.name, ours) && theirs <= mean {
			b.Errorf("budget %d: %s has a mean of %.4f, this plan %.4f", budget, s.name, theirs, mean)
		}
	}
}

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

// TestPlanIsBetterThanNixery: with and without a table, no kind of step costs
// more than with Nixery's groups over all images of a set. The single images on
// which one does stand in testdata, and no other may join them: where a new
// package shifts the runs of light paths, or one of many packages that share the
// application layer changes. Run with -update after a better plan.
func TestPlanIsBetterThanNixery(t *testing.T) {
	v := judge(keptTrials(t), slices.DeleteFunc(slices.Clone(strategies), func(s strategy) bool {
		return !strings.HasPrefix(s.name, ours) && !strings.HasPrefix(s.name, nixery)
	}))
	record := costRecord{Means: map[string]float64{}}
	for _, table := range []string{"", noTable} {
		for _, budget := range budgets {
			for _, worse := range v.worseCases(ours+table, nixery+table, budget) {
				t.Errorf("worse than Nixery: %s", worse)
			}
			record.Worse = append(record.Worse, v.worseImages(ours+table, nixery+table, budget)...)
			record.Means[fmt.Sprintf("%s, budget %d", ours+table, budget)] = v.mean(column{ours + table, budget}, rebuildAndFleet)
		}
	}
	if *update {
		record.write(t)
	}
	record.check(t, readCostRecord(t))
}

// costRecord is what this plan has reached.
type costRecord struct {
	Means map[string]float64 `json:"means"` // by strategy and budget
	Worse []string           `json:"worse"` // trials on which it costs more than Nixery
}

const costRecordFile = "testdata/plan-costs.json"

func (r costRecord) write(t *testing.T) {
	t.Helper()
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(costRecordFile, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readCostRecord(t *testing.T) (r costRecord) {
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

func (r costRecord) check(t *testing.T, old costRecord) {
	t.Helper()
	for name, mean := range r.Means {
		if mean > 1.02*old.Means[name] {
			t.Errorf("%s: %.4f times the ideal, and it was %.4f", name, mean, old.Means[name])
		}
	}
	for _, name := range r.Worse {
		if !slices.Contains(old.Worse, name) {
			t.Errorf("worse than Nixery now: %s", name)
		}
	}
}

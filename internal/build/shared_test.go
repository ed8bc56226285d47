package build

import (
	"context"
	"testing"

	"github.com/org/nixery-action/internal/popularity"
	"github.com/org/nixery-action/internal/spec"
)

// A source that was pinned before is not looked at again, also if it has changed since.
func TestPinnedSourceIsNotAskedAgain(t *testing.T) {
	w := newPinnedWorkshop(t)
	builder := newBuilder(t, &fakeNix{})
	var err error
	if builder.Pinned, err = builder.Pin(t.Context(), w.source); err != nil {
		t.Fatal(err)
	}
	w.edit("{ moved = true; }")
	report, err := builder.Run(t.Context(), spec.Nixpkgs{Path: w.source.Path}, []Target{target("box", both[:1], "app")}, nil, &Stats{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Source != builder.Pinned.Report() || report.Source.Pinned == "" {
		t.Errorf("the report says %v, but it was pinned as %v", report.Source, builder.Pinned.Report())
	}
}

// A caller with many builders loads tables once.
func TestTablesAreLoadedByLoadTable(t *testing.T) {
	builder, dest := newBuilder(t, &fakeNix{}), newDestination(t)
	builder.LoadTable = func(_ context.Context, where, _ string) (popularity.Table, error) {
		return popularity.Table{Source: "kept " + where}, nil
	}
	report, err := builder.Run(t.Context(), spec.Nixpkgs{Path: "/pkgs"}, []Target{target("box", both[:1], "app")}, []Delivery{{Destination: dest}}, &Stats{})
	if err != nil || report.Images[0].Popularity.Source != "kept embedded" {
		t.Errorf("got %v, %v", report, err)
	}
}

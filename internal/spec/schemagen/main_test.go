package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFresh fails when the types of package spec have changed since
// `go generate ./internal/spec` was last run.
func TestFresh(t *testing.T) {
	t.Chdir("..")
	want, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../schema/nixery.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the schema is stale; run go generate ./internal/spec (-types +file):\n%s", diff)
	}
}

package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFresh fails when the schema has changed since `go generate` was last run.
func TestFresh(t *testing.T) {
	const schema, page = "../../../schema/nixery.schema.json", "../../../docs/spec.md"
	want, err := update(schema, page)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/spec.md is stale; run go generate ./internal/spec/specdoc (-schema +page):\n%s", diff)
	}
}

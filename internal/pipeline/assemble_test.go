package pipeline

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An image says what it holds, so that it can be compared without its layers.
func TestHistory(t *testing.T) {
	dest := newDestination(t)
	if _, err := run(t, newLine(t, &fakeNix{}), dest, order("box", both[:1], "app")); err != nil {
		t.Fatal(err)
	}
	config, err := dest.published[0].Image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range config.History {
		got = append(got, h.Comment)
	}
	app, lib, cacert := string(path("app-x86_64-linux")), string(path("lib")), string(path("cacert"))
	want := []string{
		lib + " 100", cacert + " 100", app + " 100",
		"root layer: links to packages\npackage app " + app + "\npackage cacert " + cacert,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

package image

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/nixery-action/internal/nix"
)

const tool = nix.StorePath("/nix/store/11111111111111111111111111111111-tool-2")

// What is written is read again, and nothing else is taken for it.
func TestHistory(t *testing.T) {
	held := []nix.PathInfo{{Path: lib, NarSize: 112}, {Path: tool, NarSize: 1 << 40}}
	both := []Package{{"lib", lib}, {"python3Packages.a'b+c", tool}}
	if diff := cmp.Diff(map[nix.StorePath]int64{lib: 112, tool: 1 << 40}, ReadSizes(comment(held, both))); diff != "" {
		t.Errorf("sizes (-want +got):\n%s", diff)
	}
	if _, ok := ReadPackages(comment(held, both)); ok {
		t.Error("a layer of the store is not the root layer")
	}
	root := comment(nil, both)
	got, ok := ReadPackages(root)
	if diff := cmp.Diff(both, got); diff != "" || !ok || len(ReadSizes(root)) > 0 {
		t.Errorf("packages (-want +got):\n%s\nsizes %v", diff, ReadSizes(root))
	}
	if none, ok := ReadPackages(comment(nil, nil)); !ok || none != nil {
		t.Errorf("a root layer without packages: %v, %t", none, ok)
	}
}

func TestHistoryOfOthers(t *testing.T) {
	sizes := strings.Join([]string{
		string(lib), string(lib) + "  5", string(lib) + " -5", string(lib) + " 0x5", string(lib) + " 5 6", " " + string(lib) + " 5",
		string(lib) + " 9999999999999999999", "/nix/store/short 5", string(lib) + "/bin/x 5", "store paths: ['" + string(lib) + "']",
	}, "\n")
	if got := ReadSizes(sizes); len(got) > 0 {
		t.Errorf("got %v", got)
	}
	packages := rootTitle + "\n" + strings.Join([]string{
		"package lib", "package  " + string(lib), "package a b " + string(lib), "Package lib " + string(lib), "package lib /nix/store/short",
	}, "\n")
	if got, ok := ReadPackages(packages); len(got) > 0 || !ok {
		t.Errorf("got %v", got)
	}
	for _, other := range []string{"", "package lib " + string(lib), "root layer"} {
		if got, ok := ReadPackages(other); ok || got != nil {
			t.Errorf("%q: got %v", other, got)
		}
	}
}

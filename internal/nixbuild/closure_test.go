package nixbuild

import (
	"github.com/org/nixery-action/internal/nix"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func info(name string, refs ...string) nix.PathInfo {
	i := nix.PathInfo{Path: fakePath(name), NarSize: int64(len(name))}
	for _, r := range refs {
		i.References = append(i.References, fakePath(r))
	}
	return i
}

func TestNewClosureIsCanonical(t *testing.T) {
	infos := []nix.PathInfo{info("app", "lib", "app", "base", "lib"), info("lib", "base"), info("base"), info("unrelated")}
	want, err := nix.NewClosure([]nix.StorePath{fakePath("app")}, infos)
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Paths) != 3 || len(want.Paths[0].References) != 2 {
		t.Fatalf("closure is %v", want)
	}
	slices.Reverse(infos)
	got, err := nix.NewClosure([]nix.StorePath{fakePath("app"), fakePath("app")}, infos)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("in another order: %v, %v", got, err)
	}
}

func TestNewClosureLacksAPath(t *testing.T) {
	_, err := nix.NewClosure([]nix.StorePath{fakePath("app")}, []nix.PathInfo{info("app", "lib")})
	if err == nil || !strings.Contains(err.Error(), string(fakePath("lib"))) {
		t.Errorf("error is %v", err)
	}
}

package nixbuild

import (
	"fmt"
	"github.com/org/nixery-action/internal/nix"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// dump prints infos as nix-store --dump-db does.
func dump(infos []nix.PathInfo) []byte {
	var b strings.Builder
	for _, i := range infos {
		fmt.Fprintf(&b, "%s\n%064x\n%d\n\n%d\n", i.Path, i.NarSize, i.NarSize, len(i.References))
		for _, r := range i.References {
			fmt.Fprintf(&b, "%s\n", r)
		}
	}
	return []byte(b.String())
}

// store is a fake nix-store over infos.
func store(infos []nix.PathInfo) *fakeRunner {
	return &fakeRunner{answer: func(args []string) ([]byte, error) {
		var chosen []nix.PathInfo
		for _, i := range infos {
			if args[1] == "--query" || slices.Contains(args, string(i.Path)) {
				chosen = append(chosen, i)
			}
		}
		if args[1] == "--dump-db" {
			return dump(chosen), nil
		}
		var b strings.Builder
		for _, i := range chosen {
			fmt.Fprintln(&b, i.Path)
		}
		return []byte(b.String()), nil
	}}
}

func TestQueryClosureAgreesWithPathInfo(t *testing.T) {
	app := nix.StorePath("/nix/store/0k83lbh115xljk3m05mn548pyjjgavdd-tiny-app-2.0")
	var all []nix.Closure
	for _, version := range versions {
		text := recorded(t, version, "dump-db.txt")
		r := &fakeRunner{answer: func(args []string) ([]byte, error) {
			if args[1] == "--dump-db" {
				return []byte(text), nil
			}
			var paths string
			for line := range strings.Lines(text) {
				if strings.HasPrefix(line, nix.StoreDir) && !strings.HasSuffix(line, ".drv\n") {
					paths += line
				}
			}
			return []byte(paths), nil
		}}
		queried, err := QueryClosure(t.Context(), r, []nix.StorePath{app})
		if err != nil {
			t.Fatal(err)
		}
		read, err := nix.ReadClosure(t.Context(), strings.NewReader(recorded(t, version, "path-info.json")))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, queried, read)
	}
	for _, c := range all {
		if !reflect.DeepEqual(c, all[0]) {
			t.Errorf("two closures differ:\n%v\n%v", all[0], c)
		}
	}
	if c := all[0]; len(c.Paths) != 4 || !slices.Equal(c.Roots, []nix.StorePath{app}) ||
		c.Paths[0].NarHash.String() != "sha256:117f4e1a9f11ac473f5dc6851a4f6be6ee22040de071eb14716fa750650bc92c" {
		t.Errorf("closure is %v", c)
	}
}

func TestQueryPathsInBatches(t *testing.T) {
	var infos []nix.PathInfo
	for i := range 2*batchSize + 1 {
		infos = append(infos, info(fmt.Sprintf("p%05d", i)))
	}
	r := store(infos)
	got, err := QueryPaths(t.Context(), r, []nix.StorePath{infos[0].Path})
	if err != nil || len(got) != len(infos) {
		t.Fatalf("%d paths, %v", len(got), err)
	}
	for _, call := range r.calls {
		if len(call) > batchSize+3 {
			t.Errorf("a command line of %d words", len(call))
		}
	}
}

func TestQueryPathsWantsAnAnswerForEach(t *testing.T) {
	infos := []nix.PathInfo{info("a", "b"), info("b")}
	r := store(infos)
	whole := r.answer
	r.answer = func(args []string) ([]byte, error) {
		if args[1] == "--dump-db" {
			args = args[:3]
		}
		return whole(args)
	}
	_, err := QueryClosure(t.Context(), r, []nix.StorePath{infos[0].Path})
	if err == nil || !strings.Contains(err.Error(), "1 paths, not of the 2") {
		t.Errorf("error is %v", err)
	}
}

func TestQueryStore(t *testing.T) {
	for _, version := range versions {
		r := &fakeRunner{answer: func([]string) ([]byte, error) { return []byte(recorded(t, version, "dump-db.txt")), nil }}
		infos, err := QueryStore(t.Context(), r)
		if err != nil || len(infos) < 4 {
			t.Errorf("%s: %d paths, %v", version, len(infos), err)
		}
		if got := strings.Join(r.calls[0], " "); got != "nix-store --dump-db" {
			t.Errorf("Nix was asked for %q", got)
		}
		r.answer = func([]string) ([]byte, error) { return []byte("/etc/passwd\n"), nil }
		if _, err := QueryStore(t.Context(), r); err == nil || !strings.Contains(err.Error(), "nix-store --dump-db printed: line 1") {
			t.Errorf("error is %v", err)
		}
	}
}

func TestParseRegistrationIsStrict(t *testing.T) {
	good := string(dump([]nix.PathInfo{info("app", "lib"), info("lib")}))
	if infos, err := parseRegistration([]byte(good)); err != nil || len(infos) != 2 {
		t.Fatalf("%v, %v", infos, err)
	}
	hash := fmt.Sprintf("%064x", 3)
	for name, bad := range map[string]string{
		"cut off in a line":    strings.TrimSuffix(good, "\n"),
		"cut off in a record":  good[:strings.LastIndex(good, "0\n")],
		"short hash":           strings.Replace(good, hash, hash[1:], 1),
		"hash not hex":         strings.Replace(good, hash, strings.Repeat("g", 64), 1),
		"negative size":        strings.Replace(good, "\n3\n", "\n-3\n", 1),
		"no size":              strings.Replace(good, "\n3\n", "\n\n", 1),
		"one reference less":   strings.Replace(good, "\n1\n", "\n2\n", 1),
		"reference not a path": strings.Replace(good, string(fakePath("lib")), "/etc/passwd", 1),
		"path not a path":      strings.Replace(good, string(fakePath("app")), "app", 1),
		"empty line at end":    good + "\n",
	} {
		if infos, err := parseRegistration([]byte(bad)); err == nil {
			t.Errorf("%s: read as %v", name, infos)
		}
	}
}

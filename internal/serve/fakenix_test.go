package serve

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing/fstest"

	"github.com/org/nixery-action/internal/nixbuild"
)

// fakeNix is a package set, and a store that has all of it. Packages are the same for both systems, but for app; app refers to lib.
type fakeNix struct {
	// before is called at the beginning of each process, without a lock; nil for nothing.
	before func(ctx context.Context, program string) error

	mu    sync.Mutex
	calls []string // program names, in order
	lines []string // that every process prints on stderr
}

var fakePackages = []string{
	"app", "lib", "git", "htop", "SDL", "_7zz", "cacert", "iana-etc", "bashInteractive", "coreutils", "moreutils", "nano", "stdenv",
	"ab", "c", "a", "bc",
}

// withheld are packages that are there and cannot be had.
var withheld = map[string]map[string]any{
	"unfree":  {"reason": "unfree", "detail": "Some Licence"},
	"broken":  {"reason": "broken"},
	"onlyX86": {"reason": "unsupported", "detail": "only for x86_64-linux"},
	"set":     {"reason": "not a derivation", "detail": "set"},
}

func fakePath(pkg, system string) nixbuild.StorePath {
	name := pkg
	if pkg == "app" {
		name += "-" + system
	}
	sum := sha256.Sum256([]byte(name))
	digits := make([]byte, 32)
	for i, b := range sum {
		digits[i] = '0' + b%10
	}
	return nixbuild.StorePath(nixbuild.StoreDir + "/" + string(digits) + "-" + name)
}

func fakeStore() fstest.MapFS {
	s := fstest.MapFS{}
	for _, pkg := range append(fakePackages, "onlyX86") {
		for _, system := range []string{"x86_64-linux", "aarch64-linux"} {
			s[string(fakePath(pkg, system)[1:])+"/share/"+pkg] = &fstest.MapFile{Data: []byte(strings.Repeat(pkg+" ", 5000)), Mode: 0o444}
		}
	}
	return s
}

// with is the runner of one build.
func (f *fakeNix) with(hear func(string), _ func(nixbuild.Progress)) nixbuild.Runner {
	return fakeRunner{f, hear}
}

type fakeRunner struct {
	*fakeNix
	hear func(string)
}

func (f fakeRunner) Run(ctx context.Context, args ...string) ([]byte, error) {
	f.mu.Lock()
	f.calls = append(f.calls, args[0])
	lines := f.lines
	f.mu.Unlock()
	for _, line := range lines {
		f.hear(line)
	}
	if f.before != nil {
		if err := f.before(ctx, args[0]); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	switch {
	case args[0] == "nix-instantiate":
		return fakeEvaluation(args)
	case args[0] == "nix-build":
		return fakeBuild(args), nil
	case slices.Contains(args, "--requisites"):
		return fakeRequisites(args), nil
	case slices.Contains(args, "--dump-db"):
		return fakeRegistrations(args), nil
	}
	return nil, fmt.Errorf("what is %q?", args)
}

// count is how many processes of a name were started; of all for "".
func (f *fakeNix) count(program string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if program == "" {
		return len(f.calls)
	}
	return len(f.calls) - len(slices.DeleteFunc(slices.Clone(f.calls), func(c string) bool { return c == program }))
}

func (f *fakeNix) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = nil
}

func fakeEvaluation(args []string) ([]byte, error) {
	data, err := os.ReadFile(args[slices.Index(args, "--argstr")+2])
	if err != nil {
		return nil, err
	}
	var request struct {
		Wants []struct {
			Path   []string
			System string
		}
	}
	if err := json.Unmarshal(data, &request); err != nil {
		return nil, err
	}
	answers, places := []map[string]any{}, map[string][]string{}
	for _, w := range request.Wants {
		answers = append(answers, fakeAnswer(w.Path[0], w.System))
		places[w.System] = fakePackages
	}
	return json.Marshal(map[string]any{"answers": answers, "places": places})
}

func fakeAnswer(pkg, system string) map[string]any {
	same := func(known string) bool { return strings.EqualFold(known, pkg) || known == "_"+pkg }
	at := slices.IndexFunc(fakePackages, same)
	switch {
	case pkg == "onlyX86" && system == "x86_64-linux":
	case withheld[pkg] != nil:
		return maps.Clone(withheld[pkg])
	case at < 0:
		return map[string]any{"reason": "not found", "missing": pkg, "level": []string{}}
	default:
		pkg = fakePackages[at]
	}
	out := string(fakePath(pkg, system))
	return map[string]any{"drv": out + ".drv", "out": out, "output": "out"}
}

func fakeBuild(args []string) []byte {
	var out strings.Builder
	for _, arg := range args {
		if drv, _, ok := strings.Cut(arg, ".drv!"); ok {
			fmt.Fprintln(&out, drv)
		}
	}
	return []byte(out.String())
}

func fakeRequisites(args []string) []byte {
	set := map[string]bool{}
	for _, arg := range args[3:] {
		set[arg] = true
		if strings.Contains(arg, "-app-") {
			set[string(fakePath("lib", ""))] = true
		}
	}
	return []byte(strings.Join(slices.Sorted(maps.Keys(set)), "\n") + "\n")
}

func fakeRegistrations(args []string) []byte {
	var out strings.Builder
	for _, arg := range args[2:] {
		refs := "0"
		if strings.Contains(arg, "-app-") {
			refs = "1\n" + string(fakePath("lib", ""))
		}
		fmt.Fprintf(&out, "%s\n%x\n%d\n\n%s\n", arg, sha256.Sum256([]byte(arg)), 100, refs)
	}
	return []byte(out.String())
}

package serve

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing/fstest"
	"time"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/nixbuild"
)

// fakeNix is a package set, and a store that has all of it. Packages are the same for both systems, but for app. app refers to lib, and
// many to a hundred paths.
type fakeNix struct {
	// before is called at the beginning of each process, without a lock; nil for nothing.
	before func(ctx context.Context, program string) error

	version string // of every package, "-1.0"

	mu    sync.Mutex
	head  string   // the commit that every branch of a git repository is at; empty if there is none
	calls []string // program names, in order
	// foreign are commits that no branch or tag reaches; fetches counts those of a mirror, which fail if the repository is out of reach.
	foreign map[string]bool
	fetches int
	lines   []string // that every process prints on stderr
}

var fakePackages = []string{
	"app", "lib", "git", "htop", "SDL", "_7zz", "cacert", "iana-etc", "bashInteractive", "coreutils", "moreutils", "nano", "stdenv",
	"ab", "c", "a", "bc", "many", "big", "twin", "TWIN",
}

// withheld are packages that are there and cannot be had.
var withheld = map[string]map[string]any{
	"unfree":  {"reason": "unfree", "detail": "Some Licence"},
	"broken":  {"reason": "broken"},
	"onlyX86": {"reason": "unsupported", "detail": "only for x86_64-linux"},
	"set":     {"reason": "not a derivation", "detail": "set"},
}

func (f *fakeNix) path(pkg, system string) nix.StorePath {
	name := pkg + f.version
	if pkg == "app" {
		name += "-" + system
	}
	sum := sha256.Sum256([]byte(name))
	digits := make([]byte, 32)
	for i, b := range sum[:] {
		digits[i] = '0' + b%10
	}
	return nix.StorePath(nix.StoreDir + "/" + string(digits) + "-" + name)
}

// references are what a path refers to.
func (f *fakeNix) references(path string) (all []string) {
	switch name := nix.StorePath(path).Name(); {
	case strings.HasPrefix(name, "app"):
		all = []string{string(f.path("lib", ""))}
	case strings.HasPrefix(name, "many"):
		for i := range 100 {
			all = append(all, string(f.path(fmt.Sprintf("part%02d", i), "")))
		}
	}
	return all
}

func (f *fakeNix) store() fstest.MapFS {
	s := fstest.MapFS{}
	add := func(path nix.StorePath, name string, content []byte, mode fs.FileMode) {
		s[string(path[1:])+"/"+name] = &fstest.MapFile{Data: content, Mode: mode, ModTime: time.Now()}
	}
	for _, pkg := range append(fakePackages, "onlyX86") {
		for _, system := range []string{"x86_64-linux", "aarch64-linux"} {
			add(f.path(pkg, system), "share/"+pkg, []byte(strings.Repeat(pkg+" ", 5000)), 0o444)
		}
	}
	for i := range 100 {
		name := fmt.Sprintf("part%02d", i)
		add(f.path(name, ""), name, []byte(name), 0o444)
	}
	add(f.path("coreutils", ""), "bin/env", []byte("env"), 0o555)
	add(f.path("lib", ""), "var/empty", nil, fs.ModeDir|0o755)
	noise := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{}).Read(noise)
	add(f.path("big", ""), "noise", noise, 0o444)
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
		return f.evaluate(args)
	case args[0] == "git" && strings.HasPrefix(args[1], "--git-dir="):
		return f.mirror(args)
	case args[0] == "git" && args[1] == "init":
		return nil, nil
	case args[0] == "git":
		return f.remote(args[len(args)-2])
	case args[0] == "nix-build":
		return fakeBuild(args), nil
	case slices.Contains(args, "--requisites"):
		return f.requisites(args), nil
	case slices.Contains(args, "--dump-db"):
		return f.registrations(args), nil
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

func (f *fakeNix) evaluate(args []string) ([]byte, error) {
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
		answers = append(answers, f.answer(w.Path[0], w.System))
		places[w.System] = fakePackages
	}
	return json.Marshal(map[string]any{"answers": answers, "places": places})
}

func (f *fakeNix) answer(pkg, system string) map[string]any {
	same := func(known string) bool { return strings.EqualFold(known, pkg) || known == "_"+pkg }
	at := slices.Index(fakePackages, pkg)
	if at < 0 {
		at = slices.IndexFunc(fakePackages, same)
	}
	switch {
	case pkg == "onlyX86" && system == "x86_64-linux":
	case withheld[pkg] != nil:
		return maps.Clone(withheld[pkg])
	case at < 0:
		return map[string]any{"reason": "not found", "missing": pkg, "level": []string{}}
	default:
		pkg = fakePackages[at]
	}
	out := string(f.path(pkg, system))
	return map[string]any{"drv": out + ".drv", "out": out, "output": "out"}
}

func (f *fakeNix) remote(ref string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.head == "" {
		return nil, &nixbuild.ExitError{Program: "git", Status: "exit status 128", Stderr: []string{"fatal: out of reach"}}
	}
	return []byte(f.head + "\t" + ref + "\n"), nil
}

// mirror is git on a local mirror.
func (f *fakeNix) mirror(args []string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	gone := &nixbuild.ExitError{Program: "git", Status: "exit status 128", Stderr: []string{"fatal: " + args[len(args)-1]}}
	switch {
	case slices.Contains(args, "fetch"):
		if f.fetches++; f.head == "" {
			return nil, gone
		}
		return nil, nil
	case slices.Contains(args, "cat-file"):
		if f.foreign[args[len(args)-1]] {
			return nil, gone
		}
		return []byte("commit\n"), nil
	}
	return []byte("refs/heads/main\n"), nil
}

func (f *fakeNix) move(head string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.head = head
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

func (f *fakeNix) requisites(args []string) []byte {
	set := map[string]bool{}
	for _, arg := range args[3:] {
		set[arg] = true
		for _, ref := range f.references(arg) {
			set[ref] = true
		}
	}
	return []byte(strings.Join(slices.Sorted(maps.Keys(set)), "\n") + "\n")
}

func (f *fakeNix) registrations(args []string) []byte {
	var out strings.Builder
	for _, arg := range args[2:] {
		refs := f.references(arg)
		fmt.Fprintf(&out, "%s\n%x\n%d\n\n%d\n", arg, sha256.Sum256([]byte(arg)), 100, len(refs))
		for _, ref := range refs {
			fmt.Fprintln(&out, ref)
		}
	}
	return []byte(out.String())
}

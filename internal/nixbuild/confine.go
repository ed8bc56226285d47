package nixbuild

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"github.com/org/nixery-action/internal/nix"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Confinement is what an evaluation may reach, for expressions that strangers
// may have written. The zero value confines nothing.
//
// A restricted evaluation has two steps. The first fetches the source, and
// evaluates nothing but this package's own text; the second sees the fetched
// source as files, and no address or credentials of it.
type Confinement struct {
	// Restrict is Nix's restricted mode: expressions read their source and
	// nothing else, fetch from nowhere, and see neither environment nor
	// NIX_PATH. A flake cannot be evaluated so.
	Restrict bool
	// Allow adds to that: absolute paths, and addresses that Nix matches as
	// whole or as the beginning up to a slash.
	Allow []string
	// ImportFromDerivation lets a restricted evaluation build packages.
	ImportFromDerivation bool
	// Bounds are of each run of Nix that evaluates; fetching a restricted
	// source is not held to them.
	Bounds Bounds
}

// ErrRestrictedFlake says that restricted mode has no flakes: Nix does not hold
// getFlake to its allowed URIs in all versions.
var ErrRestrictedFlake = errors.New("a flake cannot be evaluated in restricted mode")

// Evaluate is [Evaluate] within the confinement.
func (c Confinement) Evaluate(ctx context.Context, r Runner, src Source, wants []Want) (packages []Package, absent []Want, err error) {
	e, err := newEvaluation(ctx, r, src, wants)
	if err != nil {
		return nil, nil, fmt.Errorf("evaluating packages: %w", err)
	}
	defer e.close()
	if c.Restrict {
		if err := e.restrict(ctx, c); err != nil {
			return nil, nil, err
		}
	}
	ctx = context.WithValue(ctx, boundsKey{}, c.Bounds)
	ctx = context.WithValue(ctx, variablesKey{}, c.variables())
	answers, err := e.askAll(ctx, wants)
	if err != nil {
		return nil, nil, err
	}
	if err := e.explain(ctx, wants, answers); err != nil {
		return nil, nil, err
	}
	return e.sort(wants, answers)
}

// restrict fetches the source, and holds all later runs to what it is.
func (e *evaluation) restrict(ctx context.Context, c Confinement) error {
	if e.source.Flake != "" {
		return fmt.Errorf("evaluating packages of %s: %w", e.source, ErrRestrictedFlake)
	}
	paths := []string{e.dir.Path()}
	if tree := e.request.Source.Tree; tree != nil && tree.Root == "" {
		paths = append(paths, tree.Path)
	} else { // also a checkout: only the copy of it may be read
		fetched, store, err := e.fetch(ctx)
		if err != nil {
			return err
		}
		e.request.Source = sourceRequest{Kind: "path", Tree: &treeRequest{Path: fetched}}
		paths = append(paths, string(store))
	}
	for _, overlay := range e.request.Overlays {
		paths = append(paths, cmp.Or(overlay.Root, overlay.Path))
	}
	e.options = c.options(paths)
	return nil
}

// fetch returns where the store has a source that Nix fetches or copies, and the
// store path that this is in or below.
func (e *evaluation) fetch(ctx context.Context) (source string, store nix.StorePath, err error) {
	req := e.request
	req.Fetch, req.Wants = true, []wantRequest{}
	out, err := e.run(ctx, req)
	if exit, ok := errors.AsType[*ExitError](err); ok {
		return "", "", &SourceError{Source: e.source.String(), Message: e.message(exit), cause: exit}
	}
	if err != nil {
		return "", "", err
	}
	var rep struct {
		Source string `json:"source"`
	}
	if err := json.Unmarshal(out, &rep); err != nil {
		return "", "", fmt.Errorf("reading what nix-instantiate printed: %w", err)
	}
	top := strings.Split(strings.TrimPrefix(rep.Source, nix.StoreDir+"/"), "/")[0]
	store, err = nix.ParseStorePath(nix.StoreDir + "/" + top)
	if err != nil {
		return "", "", fmt.Errorf("fetching %s: %w", e.source, err)
	}
	return rep.Source, store, nil
}

// options are Nix's for restricted mode. Each overrides what nix.conf and the
// environment say.
func (c Confinement) options(paths []string) []string {
	addresses := []string{}
	for _, allowed := range c.Allow {
		if filepath.IsAbs(allowed) {
			paths = append(paths, allowed)
		} else {
			addresses = append(addresses, allowed)
		}
	}
	args := []string{
		"--option", "restrict-eval", "true",
		"--option", "nix-path", "", // what it names could be read
		"--option", "allowed-uris", strings.Join(addresses, " "),
		"--option", "allow-import-from-derivation", fmt.Sprint(c.ImportFromDerivation),
		"--option", "allow-unsafe-native-code-during-evaluation", "false",
		"--option", "experimental-features", "", // Nix 2.8 fetches any flake in restricted mode
	}
	for i, path := range readable(paths) {
		args = append(args, "-I", fmt.Sprintf("nixery-%d=%s", i, path))
	}
	return args
}

// variables keep a restricted evaluation from git and hg. Nix lets fetchGit
// (before 2.20) and fetchMercurial read whatever the expression may read, and so
// a repository within the source, whose settings name programs to run.
func (c Confinement) variables() []string {
	onlyFiles := !slices.ContainsFunc(c.Allow, func(allowed string) bool { return !filepath.IsAbs(allowed) })
	switch {
	case !c.Restrict:
		return nil
	case onlyFiles && !c.ImportFromDerivation: // nothing to fetch, and no builders to reach by ssh
		return []string{"PATH=/path-not-set"}
	}
	return []string{"HGRCSKIPREPO=1", "GIT_NO_LAZY_FETCH=1",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.bareRepository", "GIT_CONFIG_VALUE_0=explicit"}
}

// variablesKey finds what a [Runner] of processes is to add to their environment.
type variablesKey struct{}

func variablesOf(ctx context.Context) []string {
	variables, _ := ctx.Value(variablesKey{}).([]string)
	return variables
}

// readable lists the directories of paths: those of files too, as an expression
// names its neighbours. Nix follows links, and wants to read where they lead.
func readable(paths []string) []string {
	var dirs []string
	for _, path := range paths {
		if strings.HasSuffix(path, ".nix") {
			path = filepath.Dir(path)
		}
		dirs = append(dirs, path)
		if real, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, real)
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// Bounds is how much of the machine one evaluation may take. A zero field is
// no bound.
type Bounds struct {
	Memory uint64        // bytes of address space
	CPU    time.Duration // of all its threads
}

// boundsKey finds the bounds that a [Runner] of processes is to hold one to.
type boundsKey struct{}

func boundsOf(ctx context.Context) Bounds {
	b, _ := ctx.Value(boundsKey{}).(Bounds)
	return b
}

// LimitError is an evaluation that needs more than it may have, or than the
// machine has.
type LimitError struct {
	Source string // named without credentials
	What   string // "memory" or "processor time"
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("evaluating packages of %s takes more %s than it may have", e.Source, e.What)
}

// outOfTime is the status of a program that was killed at its bound.
const outOfTime = "processor time limit exceeded"

// usedUp reports whether a process was killed after the time that it may have.
// The kernel's clock for the bound is ahead of the one that it reports by.
func (b Bounds) usedUp(p *os.ProcessState) bool {
	const ahead = 500 * time.Millisecond
	return b.CPU > 0 && p != nil && !p.Exited() && p.UserTime()+p.SystemTime() >= b.CPU-ahead
}

var outOfMemory = regexp.MustCompile(`^(error: out of memory|error: std::bad_alloc|GC Warning: Out of Memory!)`)

// exceeded names what a program that ended badly has run out of; "" if that
// was not the reason.
func (e *ExitError) exceeded() string {
	switch {
	case e.Status == outOfTime:
		return "processor time"
	case slices.ContainsFunc(e.Stderr, func(line string) bool { return outOfMemory.MatchString(strings.TrimSpace(line)) }):
		return "memory"
	}
	return ""
}

// ErrRuns says that a [Runner] of [AtMost] has run Nix as often as it may.
var ErrRuns = errors.New("evaluating has taken as many runs of Nix as it may")

// AtMost bounds how often nix-instantiate is run, over all calls.
func AtMost(r Runner, runs int) Runner {
	b := &boundedRunner{Runner: r}
	b.left.Store(int64(runs))
	return b
}

type boundedRunner struct {
	Runner
	left atomic.Int64
}

// Run implements [Runner].
func (b *boundedRunner) Run(ctx context.Context, args ...string) ([]byte, error) {
	if args[0] == "nix-instantiate" && b.left.Add(-1) < 0 {
		return nil, ErrRuns
	}
	return b.Runner.Run(ctx, args...)
}

package nixbuild

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/scratch"
)

// evalNix answers the requests that this file writes.
//
//go:embed eval.nix
var evalNix []byte

// Want is a requested package, on one system.
type Want struct {
	Name     string // dotted names descend: python3Packages.requests
	System   string // as Nix names it: aarch64-linux
	Optional bool   // its absence, and nothing else, is no error
}

// Package is a wanted package that Nix knows how to make.
type Package struct {
	Name   string // as it was wanted
	System string
	Drv    nix.StorePath // the derivation, <hash>-<name>.drv
	Output string        // the derivation's output that is meant, most often "out"
	Out    nix.StorePath // where that output is, or will be
}

// Evaluate resolves all wants in one run of Nix. packages has them in the order
// of wants; absent are the optional ones that the source does not have.
//
// If some cannot be had the error is an [*EvaluationError] with a reason for
// each; if the source itself is no good, a [*SourceError].
func Evaluate(ctx context.Context, r Runner, src Source, wants []Want) (packages []Package, absent []Want, err error) {
	return Confinement{}.Evaluate(ctx, r, src, wants)
}

// request is what eval.nix reads.
type request struct {
	Source   sourceRequest  `json:"source"`
	Given    []string       `json:"given"` // of "config" and "overlays", those that must not be dropped
	Config   map[string]any `json:"config"`
	Overlays []treeRequest  `json:"overlays"`
	Systems  []string       `json:"systems"`
	Catch    bool           `json:"catch"` // false: let Nix fail, for its message
	Fetch    bool           `json:"fetch"` // only fetch the source
	Wants    []wantRequest  `json:"wants"`
}

type wantRequest struct {
	Path   []string `json:"path"`
	System string   `json:"system"`
}

// reply is what eval.nix gives: one answer for each want, in order.
type reply struct {
	Answers []answer            `json:"answers"`
	Places  map[string][]string `json:"places"` // "<system>[.<attribute>…]" to the names there
}

type answer struct {
	Drv    string `json:"drv"`
	Out    string `json:"out"`
	Output string `json:"output"`

	Reason  Reason   `json:"reason"` // empty if there is a derivation
	Detail  string   `json:"detail"`
	Missing string   `json:"missing"`
	Level   []string `json:"level"`
	message string   // Nix's own words
}

// evaluation is the temporary directory and the request that several runs of Nix
// share.
type evaluation struct {
	runner  Runner
	source  Source
	dir     *scratch.Dir
	request request
	options []string      // for Nix
	trees   []treeRequest // what Nix evaluates copies of, for messages
	places  map[string][]string
}

func newEvaluation(ctx context.Context, r Runner, src Source, wants []Want) (*evaluation, error) {
	e := &evaluation{runner: r, source: src, places: map[string][]string{}}
	var err error
	if e.request.Source, err = src.request(ctx, r); err != nil {
		return nil, err
	}
	e.request.Given = []string{}
	e.request.Config = map[string]any{}
	e.request.Overlays = []treeRequest{}
	for _, overlay := range src.Overlays {
		tree, err := src.tree(ctx, r, overlay)
		if err != nil {
			return nil, err
		}
		e.request.Overlays = append(e.request.Overlays, tree.request())
	}
	if len(src.Config) > 0 {
		e.request.Config = src.Config
		e.request.Given = append(e.request.Given, "config")
	}
	if len(src.Overlays) > 0 {
		e.request.Given = append(e.request.Given, "overlays")
	}
	e.request.Systems = systemsOf(wants)
	e.trees = slices.Clone(e.request.Overlays)
	if e.request.Source.Tree != nil {
		e.trees = append(e.trees, *e.request.Source.Tree)
	}
	return e, e.open()
}

func (e *evaluation) open() error {
	dir, err := scratch.NewDir("")
	if err != nil {
		return err
	}
	e.dir = dir
	if err := os.WriteFile(e.expression(), evalNix, 0o600); err != nil {
		e.close()
		return err
	}
	return nil
}

func (e *evaluation) close()             { _ = e.dir.Close() }
func (e *evaluation) expression() string { return filepath.Join(e.dir.Path(), "eval.nix") }
func (e *evaluation) input() string      { return filepath.Join(e.dir.Path(), "request.json") }

func systemsOf(wants []Want) []string {
	systems := []string{}
	for _, w := range wants {
		systems = append(systems, w.System)
	}
	slices.Sort(systems)
	return slices.Compact(systems)
}

// ask runs Nix once. A program that ended badly gives an error that is an
// [*ExitError].
func (e *evaluation) ask(ctx context.Context, wants []Want, catch bool) ([]answer, error) {
	req := e.request
	req.Catch = catch
	req.Wants = []wantRequest{}
	for _, w := range wants {
		req.Wants = append(req.Wants, wantRequest{Path: strings.Split(w.Name, "."), System: w.System})
	}
	out, err := e.run(ctx, req)
	if err != nil {
		return nil, err
	}
	return e.read(out, len(wants))
}

// run gives Nix a request. A program that needed more than it may have gives a
// [*LimitError].
func (e *evaluation) run(ctx context.Context, req request) ([]byte, error) {
	text, err := json.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("evaluating packages: config: %w", err)
	}
	if err := os.WriteFile(e.input(), text, 0o600); err != nil {
		return nil, fmt.Errorf("evaluating packages: %w", err)
	}
	out, err := e.runner.Run(ctx, e.command()...)
	if exit, ok := errors.AsType[*ExitError](err); ok && exit.exceeded() != "" {
		return nil, &LimitError{Source: e.source.String(), What: exit.exceeded()}
	}
	if err != nil {
		return nil, fmt.Errorf("evaluating packages of %s: %w", e.source, err)
	}
	return out, nil
}

func (e *evaluation) command() []string {
	args := append([]string{"nix-instantiate"}, journalFormat...)
	args = append(args, "--eval", "--strict", "--json", "--read-write-mode")
	if e.source.Flake != "" {
		args = append(args, "--extra-experimental-features", "nix-command flakes")
	}
	args = append(args, e.options...)
	return append(args, "--argstr", "request", e.input(), e.expression())
}

func (e *evaluation) read(out []byte, want int) ([]answer, error) {
	var rep reply
	if err := json.Unmarshal(out, &rep); err != nil {
		return nil, fmt.Errorf("reading what nix-instantiate printed: %w", err)
	}
	if len(rep.Answers) != want {
		return nil, fmt.Errorf("reading what nix-instantiate printed: %d answers for %d packages", len(rep.Answers), want)
	}
	for place, names := range rep.Places {
		e.places[place] = names
	}
	return rep.Answers, nil
}

// askAll asks for all wants at once. Some errors cannot be caught in an
// expression (a wrong type, abort, infinite recursion) and end the whole run;
// then it finds out whose they are.
func (e *evaluation) askAll(ctx context.Context, wants []Want) ([]answer, error) {
	answers, err := e.ask(ctx, wants, true)
	var exit *ExitError
	if !errors.As(err, &exit) {
		return answers, err
	}
	if _, err := e.ask(ctx, nil, true); err != nil && !errors.Is(err, ErrRuns) {
		if errors.As(err, &exit) {
			return nil, &SourceError{Source: e.source.String(), Message: e.message(exit), cause: exit}
		}
		return nil, err
	}
	return e.halve(ctx, wants, exit)
}

// halve finds the wants that make failed, by asking for ever fewer at once.
// Where no more may be asked, those that are left are not told apart.
func (e *evaluation) halve(ctx context.Context, wants []Want, failed *ExitError) ([]answer, error) {
	if len(wants) == 1 {
		return []answer{{Reason: Failed, message: e.message(failed)}}, nil
	}
	var all []answer
	half := len(wants) / 2
	for _, part := range [][]Want{wants[:half], wants[half:]} {
		answers, err := e.ask(ctx, part, true)
		if exit, ok := errors.AsType[*ExitError](err); ok {
			answers, err = e.halve(ctx, part, exit)
		}
		if errors.Is(err, ErrRuns) {
			answers, err = slices.Repeat([]answer{{Reason: Suspect, message: e.message(failed)}}, len(part)), nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, answers...)
	}
	return all, nil
}

// maxExplained bounds the runs of Nix that only fetch a message: with nixpkgs
// each takes a second or more.
const maxExplained = 8

// explain has Nix say in its own words why the answers without a known reason
// failed.
func (e *evaluation) explain(ctx context.Context, wants []Want, answers []answer) error {
	explained := 0
	for i := range answers {
		a := &answers[i]
		if a.Reason != Failed || a.message != "" || explained == maxExplained {
			continue
		}
		explained++
		_, err := e.ask(ctx, wants[i:i+1], false)
		if errors.Is(err, ErrRuns) {
			return nil
		}
		var exit *ExitError
		if err != nil && !errors.As(err, &exit) {
			return err
		}
		if exit != nil {
			a.message = e.message(exit)
		}
	}
	return nil
}

// message is what Nix said last, without the source's credentials, and with the
// places of files as the user knows them.
func (e *evaluation) message(exit *ExitError) string {
	text := e.source.redact(nixMessage(exit.Stderr))
	for _, tree := range e.trees {
		text = tree.original(text)
	}
	return text + e.source.ownerAdvice(strings.Join(exit.Stderr, "\n"))
}

// sort tells packages, absent ones and failures apart.
func (e *evaluation) sort(wants []Want, answers []answer) (packages []Package, absent []Want, err error) {
	var failures []Failure
	for i, a := range answers {
		w := wants[i]
		switch {
		case a.Reason == NotFound && w.Optional:
			absent = append(absent, w)
		case a.Reason != "":
			failures = append(failures, e.failure(w, a))
		default:
			p, err := newPackage(w, a)
			if err != nil {
				return nil, nil, err
			}
			packages = append(packages, p)
		}
	}
	if slices.ContainsFunc(failures, func(f Failure) bool { return f.Reason != Suspect }) {
		failures = slices.DeleteFunc(failures, func(f Failure) bool { return f.Reason == Suspect })
	}
	if len(failures) > 0 {
		return nil, nil, &EvaluationError{Source: e.source.String(), Failures: failures}
	}
	return packages, absent, nil
}

func newPackage(w Want, a answer) (Package, error) {
	drv, err := nix.ParseStorePath(a.Drv)
	if err != nil {
		return Package{}, fmt.Errorf("package %q (%s): its derivation: %w", w.Name, w.System, err)
	}
	out, err := nix.ParseStorePath(a.Out)
	if err != nil {
		// A floating content-addressed derivation has no path before it is built.
		return Package{}, fmt.Errorf("package %q (%s): its output: %w", w.Name, w.System, err)
	}
	return Package{Name: w.Name, System: w.System, Drv: drv, Output: a.Output, Out: out}, nil
}

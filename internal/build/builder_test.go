package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/image"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/progress"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/report"
	"github.com/org/nixery-action/internal/spec"
)

// fakeNix is a package set of app, lib and cacert, and a store that has them.
// app refers to lib; lib and cacert are the same for both systems.
type fakeNix struct {
	calls   []string // program names, in order
	onBuild func(rootsDir string) error
}

func path(name string) nix.StorePath {
	digit := map[string]string{"app-x86_64-linux": "0", "app-aarch64-linux": "1", "lib": "2", "cacert": "3"}[name]
	return nix.StorePath(nix.StoreDir + "/" + strings.Repeat(digit, 32) + "-" + name)
}

func outOf(pkg, system string) nix.StorePath {
	if pkg == "app" {
		return path("app-" + system)
	}
	return path(pkg)
}

func (f *fakeNix) Run(_ context.Context, args ...string) ([]byte, error) {
	f.calls = append(f.calls, args[0])
	switch {
	case args[0] == "nix-instantiate":
		return evaluated(args)
	case args[0] == "nix-build":
		return f.build(args)
	case slices.Contains(args, "--requisites"):
		return requisites(args), nil
	case slices.Contains(args, "--dump-db"):
		return registrations(args), nil
	}
	return nil, fmt.Errorf("what is %q?", args)
}

func evaluated(args []string) ([]byte, error) {
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
	answers := []map[string]any{}
	for _, w := range request.Wants {
		pkg := w.Path[0]
		if !slices.Contains([]string{"app", "lib", "cacert"}, pkg) {
			answers = append(answers, map[string]any{"reason": "not found", "missing": pkg, "level": []string{}})
			continue
		}
		out := string(outOf(pkg, w.System))
		answers = append(answers, map[string]any{"drv": out + ".drv", "out": out, "output": "out"})
	}
	return json.Marshal(map[string]any{"answers": answers, "places": map[string][]string{}})
}

func (f *fakeNix) build(args []string) ([]byte, error) {
	if f.onBuild != nil {
		if err := f.onBuild(args[slices.Index(args, "--out-link")+1]); err != nil {
			return nil, err
		}
	}
	var out strings.Builder
	for _, arg := range args {
		if drv, _, ok := strings.Cut(arg, ".drv!"); ok {
			fmt.Fprintln(&out, drv)
		}
	}
	return []byte(out.String()), nil
}

func requisites(args []string) []byte {
	set := map[string]bool{}
	for _, arg := range args[3:] {
		set[arg] = true
		if strings.Contains(arg, "-app-") {
			set[string(path("lib"))] = true
		}
	}
	var out strings.Builder
	for p := range set {
		fmt.Fprintln(&out, p)
	}
	return []byte(out.String())
}

func registrations(args []string) []byte {
	var out strings.Builder
	for _, arg := range args[2:] {
		refs := "0"
		if strings.Contains(arg, "-app-") {
			refs = "1\n" + string(path("lib"))
		}
		fmt.Fprintf(&out, "%s\n%064x\n%d\n\n%s\n", arg, len(arg), 100, refs)
	}
	return []byte(out.String())
}

// store has what fakeNix builds.
func store() fstest.MapFS {
	s := fstest.MapFS{}
	for _, name := range []string{"app-x86_64-linux", "app-aarch64-linux", "lib", "cacert"} {
		s[string(path(name)[1:])+"/share/"+name] = &fstest.MapFile{Data: []byte(name), Mode: 0o444}
	}
	return s
}

// destination is a layout that remembers what it was given, and may misbehave.
type destination struct {
	publish.Layout
	checked, published []publish.Artifact
	refuse             error                 // by Check
	claim              func(v1.Hash) v1.Hash // what Publish says of a digest
	during             func()                // before anything is published
}

func newDestination(t *testing.T) *destination {
	return &destination{
		Layout: publish.Layout{Path: filepath.Join(t.TempDir(), "layout")},
		claim:  func(h v1.Hash) v1.Hash { return h },
		during: func() {},
	}
}

func (d *destination) Check(_ context.Context, a []publish.Artifact) error {
	d.checked = a
	return d.refuse
}

func (d *destination) Publish(ctx context.Context, artifacts []publish.Artifact) ([]v1.Hash, error) {
	d.during()
	d.published = artifacts
	digests, err := d.Layout.Publish(ctx, artifacts)
	for i := range digests {
		digests[i] = d.claim(digests[i])
	}
	return digests, err
}

func newBuilder(t *testing.T, nix *fakeNix) *Builder {
	return &Builder{
		Runner: nix, Store: store(), Created: image.Epoch, TempDir: t.TempDir(),
		Log:     slog.New(slog.DiscardHandler),
		Cache:   cache.New(nil, nil, slog.New(slog.DiscardHandler)),
		Display: progress.New(io.Discard, false, nil, time.Now),
	}
}

var both = []string{"amd64", "arm64"}

func target(name string, architectures []string, packages ...string) Target {
	return Target{Image: spec.Image{
		Name: name, Packages: packages, Architectures: architectures, Format: spec.Docker,
		Layers: spec.Layers{Budget: 94, Compression: "gzip", Level: 6, Popularity: "embedded"},
	}}
}

func run(t *testing.T, l *Builder, d *destination, targets ...Target) (*Report, error) {
	t.Helper()
	return l.Run(t.Context(), spec.Nixpkgs{Path: "/pkgs"}, targets, []Delivery{{Destination: d, Kind: report.ToLayout}}, &Stats{})
}

func TestRunPublishesAnIndexOfAllPlatforms(t *testing.T) {
	nix, dest := &fakeNix{}, newDestination(t)
	report, err := run(t, newBuilder(t, nix), dest, target("box", both, "app"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"nix-instantiate", "nix-build", "nix-store", "nix-store"}, nix.calls); diff != "" {
		t.Errorf("one process for each step (-want +got):\n%s", diff)
	}
	digest, err := dest.published[0].Index.Digest()
	if err != nil || report.Images[0].Digest != digest {
		t.Errorf("reported %s, published %s (%v)", report.Images[0].Digest, digest, err)
	}
	var got []string
	for _, p := range report.Images[0].Platforms {
		var held []string
		for _, l := range p.Layers {
			for _, path := range l.Paths {
				held = append(held, path.Name())
			}
		}
		slices.Sort(held)
		got = append(got, fmt.Sprintf("%s: %v and %d", p.Platform, held, len(p.Layers)))
	}
	want := []string{"linux/amd64: [app-x86_64-linux cacert lib] and 4", "linux/arm64/v8: [app-aarch64-linux cacert lib] and 4"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRunPublishesAnImageForOnePlatform(t *testing.T) {
	dest := newDestination(t)
	if _, err := run(t, newBuilder(t, &fakeNix{}), dest, target("box", both[:1], "app")); err != nil {
		t.Fatal(err)
	}
	if a := dest.published[0]; a.Index != nil || a.Image == nil {
		t.Errorf("got %+v", a)
	}
}

func TestEqualLayersAreOne(t *testing.T) {
	dest := newDestination(t)
	if _, err := run(t, newBuilder(t, &fakeNix{}), dest, target("one", both, "app"), target("two", both, "lib")); err != nil {
		t.Fatal(err)
	}
	seen := map[v1.Layer]v1.Hash{}
	for _, a := range dest.published {
		manifest, err := a.Index.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range manifest.Manifests {
			img, err := a.Index.Image(m.Digest)
			if err != nil {
				t.Fatal(err)
			}
			all, err := img.Layers()
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range all {
				if seen[l], err = l.Digest(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	digests := map[v1.Hash]bool{}
	for _, d := range seen {
		if digests[d] {
			t.Errorf("two layers have the digest %s: it is made twice", d)
		}
		digests[d] = true
	}
}

func TestNothingRunsIfADestinationRefuses(t *testing.T) {
	nix, dest := &fakeNix{}, newDestination(t)
	dest.refuse = errors.New("no room")
	tag, _ := name.NewTag("example.com/box:v1")
	to := []Delivery{{Destination: dest, Names: []Names{{Tags: []name.Tag{tag}}}}}
	if _, err := newBuilder(t, nix).Run(t.Context(), spec.Nixpkgs{Path: "/pkgs"}, []Target{target("box", both, "app")}, to, &Stats{}); !errors.Is(err, dest.refuse) {
		t.Errorf("got %v", err)
	}
	if len(nix.calls) != 0 || len(dest.published) != 0 || dest.checked[0].Tags[0] != tag {
		t.Errorf("calls %v, published %v, checked %v", nix.calls, dest.published, dest.checked)
	}
}

func TestPackagesAreHeldWhilePublishing(t *testing.T) {
	var roots string
	nix, dest := &fakeNix{}, newDestination(t)
	nix.onBuild = func(link string) error {
		roots = filepath.Dir(link)
		return os.Symlink("anywhere", link)
	}
	dest.during = func() {
		if _, err := os.Lstat(roots); err != nil {
			t.Errorf("while publishing: %v", err)
		}
	}
	builder := newBuilder(t, nix)
	if _, err := run(t, builder, dest, target("box", both, "app")); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(builder.TempDir)
	if err != nil || len(left) != 0 {
		t.Errorf("afterwards %v is left (%v)", left, err)
	}
}

func TestNothingIsLeftOfAFailedBuild(t *testing.T) {
	nix := &fakeNix{onBuild: func(string) error { return errors.New("no") }}
	builder := newBuilder(t, nix)
	if _, err := run(t, builder, newDestination(t), target("box", both, "app")); err == nil {
		t.Error("no error")
	}
	if left, _ := os.ReadDir(builder.TempDir); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}

func TestADestinationThatChangesADigestIsAnError(t *testing.T) {
	dest := newDestination(t)
	dest.claim = func(v1.Hash) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)} }
	if _, err := run(t, newBuilder(t, &fakeNix{}), dest, target("box", both, "app")); err == nil || !strings.Contains(err.Error(), "published as") {
		t.Errorf("got %v", err)
	}
}

func TestDigestsWithoutADestinationAreThoseOfAPush(t *testing.T) {
	dest := newDestination(t)
	published, err := run(t, newBuilder(t, &fakeNix{}), dest, target("box", both, "app", "lib"))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	builder := newBuilder(t, &fakeNix{})
	builder.Display = progress.New(&log, false, nil, time.Now)
	measured, err := builder.Run(t.Context(), spec.Nixpkgs{Path: "/pkgs"}, []Target{target("box", both, "lib", "app")}, nil, &Stats{})
	if err != nil {
		t.Fatal(err)
	}
	if text := log.String(); strings.Contains(text, "publishing") || !strings.Contains(text, "packing: 2.") {
		t.Errorf("nothing is published, and the log says\n%s", text)
	}
	if diff := cmp.Diff(published, measured, cmpopts.IgnoreFields(Report{}, "Run")); diff != "" {
		t.Errorf("-published +measured:\n%s", diff)
	}
}

func TestWhatEveryImageHasIsOptionalUnlessItIsNamed(t *testing.T) {
	_, err := run(t, newBuilder(t, &fakeNix{}), newDestination(t), target("box", both[:1], "app"), target("other", both[:1], "iana-etc"))
	evaluation, ok := errors.AsType[*nixbuild.EvaluationError](err)
	if !ok || evaluation.Failures[0].Name != "iana-etc" || evaluation.Failures[0].Reason != nixbuild.NotFound {
		t.Errorf("got %v", err)
	}
}

func TestCancelledMeasuringStops(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	nix := &fakeNix{onBuild: func(string) error { cancel(errStopped); return nil }}
	_, err := newBuilder(t, nix).Run(ctx, spec.Nixpkgs{Path: "/pkgs"}, []Target{target("box", both, "app")}, nil, &Stats{})
	if !errors.Is(err, errStopped) {
		t.Errorf("got %v", err)
	}
}

var errStopped = errors.New("stopped")

func TestConfig(t *testing.T) {
	shell := TargetPlatform{Shell: true, Packages: []nixbuild.Package{{Name: "cacert"}}}
	for name, c := range map[string]struct {
		config spec.Config
		wish   TargetPlatform
		want   v1.Config
	}{
		"nothing asked": {spec.Config{}, TargetPlatform{}, v1.Config{Env: []string{"PATH=/bin:/sbin:/usr/bin"}}},
		"a shell and TLS roots": {spec.Config{}, shell, v1.Config{
			Env: []string{"PATH=/bin:/sbin:/usr/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt"}, Cmd: []string{"bash"}}},
		"an entrypoint takes the shell's place": {spec.Config{Entrypoint: []string{"app"}}, shell, v1.Config{
			Env: []string{"PATH=/bin:/sbin:/usr/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt"}, Entrypoint: []string{"app"}}},
		"everything": {spec.Config{
			Cmd: []string{"serve"}, Env: map[string]string{"A": "1"}, WorkingDir: "/work", User: "1000:1000", StopSignal: "SIGINT",
			ExposedPorts: []string{"80/tcp"}, Volumes: []string{"/data"}, Labels: map[string]string{"l": "v"},
		}, TargetPlatform{}, v1.Config{
			Env: []string{"PATH=/bin:/sbin:/usr/bin", "A=1"}, Cmd: []string{"serve"}, WorkingDir: "/work", User: "1000:1000", StopSignal: "SIGINT",
			ExposedPorts: map[string]struct{}{"80/tcp": {}}, Volumes: map[string]struct{}{"/data": {}}, Labels: map[string]string{"l": "v"},
		}},
	} {
		if diff := cmp.Diff(c.want, configOf(c.config, c.wish)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

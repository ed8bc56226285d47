package serve

import (
	"context"
	"io/fs"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"gocloud.dev/blob"

	"github.com/org/nixery-action/internal/blobstore"
	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/image"
	"github.com/org/nixery-action/internal/progress"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/spec"
)

// clock is what a server takes for now.
func (r *registry) clock(now func() time.Time) {
	r.recent.now, r.pins.now, r.commits.now = now, now, now
	if r.mirror != nil {
		r.mirror.now = now
	}
}

var commits = []string{strings.Repeat("a", 40), strings.Repeat("b", 40)}

func fromGit(o *Options) {
	o.Source = spec.Nixpkgs{Git: &spec.Git{URL: "https://example.com/pkgs.git"}}
}

// A tag stands for what it stood for, until the source is looked at again; a commit's image does for ever.
func TestHowLongATagStands(t *testing.T) {
	r := newRegistry(t, fromGit)
	r.nix.move(commits[0])
	now := time.Now()
	r.clock(func() time.Time { return now })
	ran := func(when string, path string, want ...string) {
		t.Helper()
		r.nix.forget()
		answer := r.do(http.MethodHead, path)
		if answer.StatusCode != http.StatusOK || !slices.Equal(r.nix.calls, want) {
			t.Errorf("%s, HEAD of %s is %s, and ran %v; want %v", when, path, answer.Status, r.nix.calls, want)
		}
	}
	all := []string{"nix-instantiate", "nix-build", "nix-store", "nix-store"}
	latest, fixed := "/v2/app/manifests/latest", "/v2/app/manifests/"+commits[1]
	ran("at first", latest, append([]string{"git"}, all...)...)
	ran("again", latest)
	ran("for another image", "/v2/htop/manifests/latest", all...)            // the source is known
	ran("at a commit", fixed, "git", "git", "git", "git", "nix-instantiate") // which a branch reaches, and which has the same paths
	now = now.Add(6 * time.Minute)
	ran("unchanged, later", latest, "git")
	ran("at a commit, later", fixed)
	now = now.Add(6 * time.Minute)
	r.nix.move(commits[1])
	ran("moved", latest, "git") // to a commit that is known
	if _, pinned, when := r.Source(); pinned != "git commit "+commits[1] || when.IsZero() {
		t.Errorf("the source is said to be %s, as of %s", pinned, when)
	}
}

// A source that is out of reach for a while is what it was.
func TestSourceOutOfReachForAWhile(t *testing.T) {
	r := newRegistry(t, fromGit)
	r.nix.move(commits[0])
	now := time.Now()
	r.clock(func() time.Time { return now })
	digest := r.get("/v2/app/manifests/latest").digest()
	now = now.Add(time.Hour)
	r.nix.move("")
	if got := r.get("/v2/app/manifests/latest").digest(); got != digest {
		t.Errorf("it was %s, and is %s", digest, got)
	}
	r.get("/v2/htop/manifests/latest")
}

// After a restart nothing is built again: tags are in the blobstore, and when these are too old, cache snapshots are.
func TestRestartIsWarm(t *testing.T) {
	r := newRegistry(t, fromGit)
	r.nix.move(commits[0])
	digest := r.get("/v2/shell/app/manifests/latest").digest()
	r.start()
	r.nix.forget()
	if got := r.get("/v2/shell/app/manifests/latest").digest(); got != digest || r.nix.count("") != 0 {
		t.Errorf("it was %s, and is %s; ran %v", digest, got, r.nix.calls)
	}
	if _, pinned, _ := r.Source(); pinned != "git commit "+commits[0] {
		t.Errorf("the source is said to be %q", pinned)
	}
	r.start()
	r.clock(func() time.Time { return time.Now().Add(time.Hour) })
	r.nix.forget()
	if got := r.get("/v2/shell/app/manifests/latest").digest(); got != digest || r.nix.count("") != r.nix.count("git") {
		t.Errorf("an hour later it is %s; ran %v", got, r.nix.calls)
	}
}

// The bucket was emptied of manifests: they are built again.
func TestLostManifestIsMadeAgain(t *testing.T) {
	r := newRegistry(t, nil)
	digest := r.get("/v2/app/manifests/latest").digest()
	if err := r.bucket.Delete(t.Context(), "blobs/sha256/"+strings.TrimPrefix(digest, "sha256:")); err != nil {
		t.Fatal(err)
	}
	if got := r.get("/v2/app/manifests/latest").digest(); got != digest {
		t.Errorf("it was %s, and is %s", digest, got)
	}
}

// A damaged tag stops no pull: the image is looked for as if it were new, and the tag is set again.
func TestDamagedTagIsMadeAgain(t *testing.T) {
	r := newRegistry(t, nil)
	digest := r.get("/v2/app/manifests/latest").digest()
	tags := r.bucket.List(&blob.ListOptions{Prefix: "tags/"})
	file, err := tags.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.bucket.WriteAll(t.Context(), file.Key, []byte(`{"key":`), nil); err != nil {
		t.Fatal(err)
	}
	for _, runs := range []bool{true, false} {
		r.start()
		r.nix.forget()
		if got := r.get("/v2/app/manifests/latest").digest(); got != digest || r.builds.serial != map[bool]int64{true: 1}[runs] {
			t.Errorf("it was %s, and is %s after %d builds", digest, got, r.builds.serial)
		}
	}
}

// The memory has an end; the store does not.
func TestMemoryIsBounded(t *testing.T) {
	r := newRegistry(t, nil)
	for i := range 3 * maxAnswers {
		r.recent.remember(strings.Repeat("x", i), answer{made: time.Now()})
	}
	if n := len(r.recent.all); n > maxAnswers {
		t.Errorf("%d answers are remembered", n)
	}
	for i := range 3 * maxPins {
		if _, err := r.pins.entry(spec.Nixpkgs{Channel: strings.Repeat("x", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.pins.all); n > maxPins {
		t.Errorf("%d pins are remembered", n)
	}
}

// The same packages by a spec's build, on a machine of its own: the same digests, of all that there is.
func TestBuildGivesTheSame(t *testing.T) {
	nix := &fakeNix{}
	line := &build.Builder{
		Runner: nix.with(func(string) {}, nil), Store: nix.store(), Created: image.Epoch, TempDir: t.TempDir(), Log: quiet,
		Cache: cache.New(nil, nil, quiet), Display: progress.New(&strings.Builder{}, false, nil, time.Now),
	}
	file := filepath.Join(t.TempDir(), "nixery.yaml")
	s := loadSpec(t, file, "packages: [lib, shell, app]\narchitectures: [amd64, arm64]\nnixpkgs: {channel: \""+someCommit+"\"}\n")
	layout := publish.Layout{Path: filepath.Join(t.TempDir(), "layout")}
	report, err := line.Run(t.Context(), s.Nixpkgs, []build.Target{{Image: s.Images[0]}}, []build.Delivery{{Destination: layout}}, &build.Stats{})
	if err != nil {
		t.Fatal(err)
	}
	r := newRegistry(t, nil)
	index := r.get("/v2/shell/app/lib/manifests/latest", "Accept", allTypes)
	if index.digest() != report.Images[0].Digest.String() {
		t.Errorf("served %s, built %s", index.digest(), report.Images[0].Digest)
	}
	for i, d := range index.index(t).Manifests {
		served := digestsOf(r.get("/v2/app/manifests/" + d.Digest.String()).manifest(t))
		var built []string
		for _, layer := range report.Images[0].Platforms[i].Layers {
			built = append(built, layer.Digest.String())
		}
		if diff := cmp.Diff(built, served); diff != "" || len(served) < 5 {
			t.Errorf("%v (-built +served):\n%s", d.Platform, diff)
		}
	}
}

// A tag that another server has set counts here, if it is fresh.
func TestServersShareAStore(t *testing.T) {
	first := newRegistry(t, nil)
	second := &registry{t: t, nix: &fakeNix{}, bucket: first.bucket}
	second.start()
	digest := first.get("/v2/app/manifests/latest").digest()
	if got := second.get("/v2/app/manifests/latest").digest(); got != digest || second.nix.count("") != 0 {
		t.Errorf("the first has %s, the second %s; it ran %v", digest, got, second.nix.calls)
	}
}

// Tags that were set in the future, by a clock that was wrong, do not stay for long.
func TestClockThatWentBack(t *testing.T) {
	r := newRegistry(t, func(o *Options) { o.Source = spec.Nixpkgs{Path: t.TempDir()} })
	q := query{image: "app", tag: latest, format: spec.Docker, architectures: "amd64"}
	key, err := r.key(q, r.options.Source)
	if err != nil {
		t.Fatal(err)
	}
	tag := blobstore.Tag{Digests: map[string]v1.Hash{q.variant(): {Algorithm: "sha256", Hex: strings.Repeat("0", 64)}}, Made: time.Now().Add(time.Hour)}
	if err := r.options.Blobs.SetTag(context.Background(), key, tag); err != nil {
		t.Fatal(err)
	}
	if _, err := r.recent.look(t.Context(), q, key); err != errUnknown {
		t.Errorf("got %v", err)
	}
}

// What two images share is read from the store and compressed for the first of them only.
func TestSharedLayersAreMadeOnce(t *testing.T) {
	var mu sync.Mutex
	read := map[string]int{}
	r := newRegistry(t, func(o *Options) {
		o.Store = watchedStore{o.Store.(fs.ReadLinkFS), func(name string) {
			mu.Lock()
			defer mu.Unlock()
			read[path.Base(name)]++
		}}
	})
	r.get("/v2/git/lib/manifests/latest")
	once := read["lib"]
	r.get("/v2/app/git/manifests/latest") // app refers to lib
	r.start()
	r.get("/v2/app/htop/manifests/latest")
	if once == 0 || read["lib"] != once || read["git"] == 0 || read["app"] == 0 {
		t.Errorf("files were read this often: %v; lib %d times at first", read, once)
	}
}

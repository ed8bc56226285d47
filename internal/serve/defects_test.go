package serve

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/spec"
)

// Nixery, which this server takes the place of, has had these defects. Each is shown not to be here, through the server.
func TestDefects(t *testing.T) {
	t.Run("1 one image stands for another", imagesAreToldApart)
	t.Run("2 the digest depends on what is cached", cachesDoNotMatter)
	t.Run("3 ties are broken by chance", tiesAreBrokenAlike)
	t.Run("4 another version loses its count", versionsAreCountedAlike)
	t.Run("5 what exceeds the budget is one junk layer", thereIsNoJunkLayer)
	t.Run("6 much on stderr before stdout is a deadlock", stderrMayBeLong)
	t.Run("7 tars are not like a store", tarsAreLikeAStore)
	t.Run("8 the protocol is bent", theProtocolIsKept)
	t.Run("9 a tag rewrites the manifest under who reads it", manifestsStay)
	t.Run("10 equal pulls build as often, for clients that have gone", pullsShareABuild)
	t.Run("11 nothing holds paths while they are packed", pathsAreHeld)
	t.Run("12 Nix's output is obeyed, and the temporary directory guessed", outputIsText)
	t.Run("13 a layer is compressed by one thread", layersAreCompressedInParts)
}

func imagesAreToldApart(t *testing.T) {
	r := newRegistry(t, nil)
	amd64 := r.get("/v2/app/manifests/" + someCommit).digest()
	if arm64 := r.get("/v2/arm64/app/manifests/" + someCommit).digest(); arm64 == amd64 {
		t.Error("arm64/app after app is the image for amd64")
	}
	if r.get("/v2/ab/c/manifests/latest").digest() == r.get("/v2/a/bc/manifests/latest").digest() {
		t.Error("ab/c and a/bc are one image")
	}
	r.get("/v2/app/manifests/latest")
	r.change = func(o *Options) { o.Source = spec.Nixpkgs{Path: t.TempDir()} }
	r.start()
	r.nix.forget()
	if r.get("/v2/app/manifests/latest"); r.nix.count("nix-instantiate") == 0 {
		t.Error("another source is taken for the first")
	}
}

func cachesDoNotMatter(t *testing.T) {
	cold, warm := newRegistry(t, nil), newRegistry(t, nil)
	for _, other := range []string{"lib", "app", "many", "arm64/shell/app"} {
		warm.get("/v2/" + other + "/manifests/latest")
	}
	if cold.get("/v2/shell/app/many/manifests/latest").digest() != warm.get("/v2/shell/app/many/manifests/latest").digest() {
		t.Error("after other images, it is another one")
	}
}

func tiesAreBrokenAlike(t *testing.T) {
	digests := map[string]bool{}
	for range 20 {
		r := newRegistry(t, withBudget(10, "none"))
		digests[r.get("/v2/many/manifests/latest").digest()] = true
	}
	if len(digests) != 1 {
		t.Errorf("20 servers made %d images", len(digests))
	}
}

func thereIsNoJunkLayer(t *testing.T) {
	r := newRegistry(t, withBudget(10, "none"))
	held := r.held(t, "many")
	for _, names := range held {
		if len(names) > 50 {
			t.Errorf("of %d layers one has %d paths", len(held), len(names))
		}
	}
}

func stderrMayBeLong(t *testing.T) {
	r := newRegistry(t, nil)
	r.nix.before = func(ctx context.Context, program string) error {
		if program != "nix-build" {
			return nil
		}
		out, err := nixbuild.Exec{}.Run(ctx, "sh", "-c", `i=0; while [ $i -lt 5000 ]; do echo "$i: the quick brown fox jumps over the lazy dog"; i=$((i+1)); done >&2; echo done`)
		return errors.Join(err, want(string(out), "done\n"))
	}
	r.get("/v2/app/manifests/latest")
}

func theProtocolIsKept(t *testing.T) {
	r := newRegistry(t, nil)
	r.refuse(http.StatusNotFound, "BLOB_UNKNOWN", http.MethodGet, "/v2/app/blobs/"+absentDigest)
	r.get("/v2/app/manifests/latest?ns=docker.io&x=%zz")
	r.nix.forget()
	if answer := r.do(http.MethodHead, "/v2/app/manifests/latest"); answer.digest() == "" || r.nix.count("") != 0 {
		t.Errorf("HEAD told the digest %q, and ran %v", answer.digest(), r.nix.calls)
	}
	for _, method := range []string{http.MethodPost, http.MethodDelete} {
		r.refuse(http.StatusMethodNotAllowed, "UNSUPPORTED", method, "/v2/app/manifests/latest")
	}
}

func manifestsStay(t *testing.T) {
	r := newRegistry(t, func(o *Options) { o.Fresh = time.Nanosecond; o.Source = spec.Nixpkgs{Path: t.TempDir()} })
	digest := r.get("/v2/app/manifests/latest").digest()
	var pulls sync.WaitGroup
	for range 4 {
		pulls.Go(func() {
			for range 20 {
				r.get("/v2/app/manifests/" + digest) // compares the digest
			}
		})
	}
	for range 5 {
		r.get("/v2/app/manifests/latest")
	}
	pulls.Wait()
}

func pullsShareABuild(t *testing.T) {
	gate := newGate("nix-build")
	r := newRegistry(t, nil)
	r.nix.before = gate.pass
	ctx, goes := context.WithCancel(t.Context())
	for range 8 {
		r.pull(ctx, "app")
	}
	eventually(t, "eight clients wait", func() bool { return r.clients() == 8 })
	goes()
	eventually(t, "the build was given up", func() bool { return r.Builds()[0].Phase == Abandoned })
	if r.nix.count("nix-build") > 1 {
		t.Errorf("processes %v", r.nix.calls)
	}
}

func outputIsText(t *testing.T) {
	temp := t.TempDir()
	r := newRegistry(t, func(o *Options) { o.TempDir = temp })
	r.nix.lines = []string{"\x1b]0;title\x07<script>alert(1)</script>\x1b[2J"}
	r.get("/v2/app/manifests/latest")
	// What escapes it is the page; here it is text without control sequences.
	if log := r.Builds()[0].Log; !slices.Contains(log, "<script>alert(1)</script>") {
		t.Errorf("the log is %q", log)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("%v is left (%v)", left, err)
	}
}

func layersAreCompressedInParts(t *testing.T) {
	r := newRegistry(t, nil)
	most := 0
	for _, layer := range r.get("/v2/big/manifests/latest").manifest(t).Layers {
		most = max(most, members(t, r.get("/v2/big/blobs/"+layer.Digest.String()).content))
	}
	if most < 3 {
		t.Errorf("3 MiB of one store path are %d gzip members, each the work of one core", most)
	}
}

func want(got, want string) error {
	if got != want {
		return fmt.Errorf("got %q, want %q", got, want)
	}
	return nil
}

func withBudget(budget int, popularity string) func(*Options) {
	return func(o *Options) {
		o.Layers = spec.DefaultLayers()
		o.Layers.Budget, o.Layers.Popularity = budget, popularity
	}
}

// held lists the names in each store layer of an image, as its config tells.
func (r *registry) held(t *testing.T, name string) (layers [][]string) {
	t.Helper()
	config := r.get("/v2/" + name + "/blobs/" + r.get("/v2/"+name+"/manifests/latest").manifest(t).Config.Digest.String())
	parsed, err := v1.ParseConfigFile(bytes.NewReader(config.content))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range parsed.History {
		var names []string
		for _, line := range strings.Fields(h.Comment) {
			if p, err := nix.ParseStorePath(line); err == nil {
				names = append(names, p.Name())
			}
		}
		if len(names) > 0 {
			slices.Sort(names)
			layers = append(layers, names)
		}
	}
	return layers
}

// Counts are of names without versions: another commit of nixpkgs has other versions, and the same plan. Without counts the plan is
// another, so it is they that make it.
func versionsAreCountedAlike(t *testing.T) {
	counts := map[string]int{}
	for i := range 100 {
		counts[fmt.Sprintf("part%02d", i)] = i * i * 10
	}
	raw, err := json.Marshal(counts)
	if err != nil {
		t.Fatal(err)
	}
	table := filepath.Join(t.TempDir(), "table.json")
	if err := os.WriteFile(table, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	plan := func(version, popularity string) string {
		r := &registry{t: t, nix: &fakeNix{version: version}, bucket: newRegistry(t, nil).bucket, change: withBudget(10, popularity)}
		r.start()
		return strings.ReplaceAll(fmt.Sprint(r.held(t, "many")), version, "")
	}
	first, second := plan("-1.0", table), plan("-2.0", table)
	if first != second {
		t.Errorf("of version 1.0 the layers are\n%s\nof version 2.0\n%s", first, second)
	}
	if plan("-1.0", "none") == first {
		t.Error("the counts make no difference")
	}
}

// files unpacks the layers of an image, lowest first, into entries by name.
func (r *registry) files(t *testing.T, name string) map[string]*tar.Header {
	t.Helper()
	all := map[string]*tar.Header{}
	for _, layer := range r.get("/v2/" + name + "/manifests/latest").manifest(t).Layers {
		zr, err := gzip.NewReader(bytes.NewReader(r.get("/v2/" + name + "/blobs/" + layer.Digest.String()).content))
		if err != nil {
			t.Fatal(err)
		}
		for tr := tar.NewReader(zr); ; {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			all[path.Clean(h.Name)] = h
		}
	}
	return all
}

func tarsAreLikeAStore(t *testing.T) {
	r := newRegistry(t, nil)
	files := r.files(t, "arm64/shell/app")
	for name, h := range files {
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.ModTime.Unix() != 1 {
			t.Errorf("%s: owner %d:%d %q, time %v", name, h.Uid, h.Gid, h.Uname, h.ModTime)
		}
	}
	lib := string(r.nix.path("lib", "")[1:])
	for _, directory := range []string{"nix/store", lib, lib + "/var/empty"} {
		if h := files[directory]; h == nil || h.Typeflag != tar.TypeDir {
			t.Errorf("%s is no directory: %v", directory, h)
		}
	}
	if h := files["tmp"]; h == nil || h.Mode != 0o1777 {
		t.Errorf("/tmp is %+v", h)
	}
	env := files["usr/bin/env"]
	if env == nil || env.Typeflag != tar.TypeSymlink {
		t.Fatalf("/usr/bin/env is %+v", env)
	}
	for range 5 { // links to links
		if to := files[strings.TrimPrefix(env.Linkname, "/")]; to != nil && to.Typeflag == tar.TypeSymlink {
			env = to
		}
	}
	if files[strings.TrimPrefix(env.Linkname, "/")] == nil {
		t.Errorf("/usr/bin/env leads to %s, which is not in the image", env.Linkname)
	}
}

// watchedStore calls back when a file in it is opened.
type watchedStore struct {
	fs.ReadLinkFS
	opened func(name string)
}

func (s watchedStore) Open(name string) (fs.File, error) {
	s.opened(name)
	return s.ReadLinkFS.Open(name)
}

func pathsAreHeld(t *testing.T) {
	temp := t.TempDir()
	var mu sync.Mutex
	reads, unheld := 0, 0
	r := newRegistry(t, func(o *Options) {
		o.TempDir = temp
		o.Store = watchedStore{o.Store.(fs.ReadLinkFS), func(string) {
			links, err := filepath.Glob(filepath.Join(temp, "*", "roots"))
			mu.Lock()
			defer mu.Unlock()
			reads++
			if err != nil || len(links) == 0 {
				unheld++
			}
		}}
	})
	r.get("/v2/app/manifests/latest")
	if reads == 0 || unheld > 0 {
		t.Errorf("of %d reads of the store, %d were without a root", reads, unheld)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("%v is left (%v)", left, err)
	}
}

// members counts those of a gzip file, RFC 1952, section 2.2.
func members(t *testing.T, content []byte) (n int) {
	t.Helper()
	from := bufio.NewReader(bytes.NewReader(content))
	zr, err := gzip.NewReader(from)
	for ; err == nil; err = zr.Reset(from) {
		zr.Multistream(false)
		if _, err := io.Copy(io.Discard, zr); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return n
}

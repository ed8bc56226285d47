package publish

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/org/nixery-action/internal/registry"
	"github.com/org/nixery-action/internal/registry/registrytest"
	"github.com/org/nixery-action/internal/retry"
)

// checkPulled pulls a tag, with every byte checked, and compares its digest.
func checkPulled(t *testing.T, tag name.Tag, want v1.Hash) {
	t.Helper()
	desc, err := remote.Get(tag)
	if err != nil {
		t.Fatalf("pulling %s: %v", tag, err)
	}
	if desc.Digest != want {
		t.Errorf("%s is %s, want %s", tag, desc.Digest, want)
	}
	if !desc.MediaType.IsIndex() {
		image, err := desc.Image()
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(image); err != nil {
			t.Errorf("%s: %v", tag, err)
		}
		return
	}
	index, err := desc.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Errorf("%s: %v", tag, err)
	}
}

func TestPublishOrder(t *testing.T) {
	reg := registrytest.NewRegistry(t)
	shared, amd, arm, tool := registrytest.NewLayer(t, 1, 50_000), registrytest.NewLayer(t, 2, 20_000), registrytest.NewLayer(t, 3, 20_000), registrytest.NewLayer(t, 4, 9_000)
	index := registrytest.IndexOf(registrytest.ImageOf(t, "amd64", shared, amd), registrytest.ImageOf(t, "arm64", shared, arm))
	artifacts := []Artifact{
		{Name: "box", Index: index, Tags: []name.Tag{reg.Tag(t, "acme/box:latest"), reg.Tag(t, "acme/box:1")}},
		{Name: "tool", Image: registrytest.ImageOf(t, "amd64", shared, tool), Tags: []name.Tag{reg.Tag(t, "acme/tool:latest")}},
	}
	digests, err := NewRegistry(RegistryOptions{}).Publish(t.Context(), artifacts)
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range []*registrytest.Layer{shared, amd, arm, tool} {
		if n := layer.Opens.Load(); n != 1 {
			t.Errorf("a layer was opened %d times", n)
		}
		if n := layer.Live.Load(); n != 0 {
			t.Errorf("%d streams of a layer are still open", n)
		}
	}
	checkPulled(t, artifacts[0].Tags[0], digests[0])
	checkPulled(t, artifacts[0].Tags[1], digests[0])
	checkPulled(t, artifacts[1].Tags[0], digests[1])
	checkOrder(t, reg.Matching("PUT "), digests[0])
}

// checkOrder wants blobs of layers, then manifests by digest with the index after its images, then tags.
func checkOrder(t *testing.T, puts []string, index v1.Hash) {
	t.Helper()
	isTag := func(put string) bool {
		return strings.Contains(put, "/manifests/") && !strings.Contains(put, "sha256:")
	}
	isIndex := func(put string) bool { return strings.Contains(put, "/box/manifests/"+index.String()) }
	isImage := func(put string) bool { return strings.Contains(put, "/box/manifests/sha256:") && !isIndex(put) }
	firstTag, indexAt := slices.IndexFunc(puts, isTag), slices.IndexFunc(puts, isIndex)
	if firstTag < 0 || indexAt < 0 {
		t.Fatalf("no tag or no index among %q", puts)
	}
	for i, put := range puts {
		if i > firstTag && !isTag(put) {
			t.Errorf("%s came after a tag", put)
		}
		if i > indexAt && isImage(put) {
			t.Errorf("%s came after its index", put)
		}
	}
	tags := len(puts) - firstTag
	if tags != 3 {
		t.Errorf("%d tags were put, want 3", tags)
	}
}

func TestPublishMountsWithinARegistry(t *testing.T) {
	for _, test := range []struct {
		name    string
		noMount bool
		want    How
		opens   int64
	}{
		{"mounted", false, Mounted, 1},
		{"refused, so uploaded", true, Uploaded, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			reg := registrytest.NewRegistry(t)
			reg.NoMount = test.noMount
			layer := registrytest.NewLayer(t, 1, 10_000)
			var uploads []Upload
			r := NewRegistry(RegistryOptions{Report: func(u Upload) { uploads = append(uploads, u) }})
			digests, err := r.Publish(t.Context(), []Artifact{{Name: "a", Image: registrytest.ImageOf(t, "amd64", layer),
				Tags: []name.Tag{reg.Tag(t, "one:x"), reg.Tag(t, "two:x"), reg.Tag(t, "two:y")}}})
			if err != nil {
				t.Fatal(err)
			}
			checkPulled(t, reg.Tag(t, "two:y"), digests[0])
			if n := layer.Opens.Load(); n != test.opens {
				t.Errorf("opened %d times, want %d", n, test.opens)
			}
			if mounts := reg.Matching("POST /v2/two/", "from=one", "mount=sha256"); len(mounts) != 1 {
				t.Errorf("mount requests: %q", mounts)
			}
			if len(uploads) != 2 || uploads[0].How != Uploaded || uploads[1].How != test.want || uploads[1].Size != layer.Bytes {
				t.Errorf("reported %+v", uploads)
			}
		})
	}
}

func TestPublishToTwoRegistries(t *testing.T) {
	one, two := registrytest.NewRegistry(t), registrytest.NewRegistry(t)
	layer := registrytest.NewLayer(t, 1, 10_000)
	artifact := Artifact{Name: "a", Image: registrytest.ImageOf(t, "amd64", layer), Tags: []name.Tag{one.Tag(t, "a:x"), two.Tag(t, "b:x")}}
	digests, err := NewRegistry(RegistryOptions{}).Publish(t.Context(), []Artifact{artifact})
	if err != nil {
		t.Fatal(err)
	}
	checkPulled(t, artifact.Tags[0], digests[0])
	checkPulled(t, artifact.Tags[1], digests[0])
	if mounts := two.Matching("mount="); len(mounts) != 0 {
		t.Errorf("asked to mount across registries: %q", mounts)
	}
}

func TestPublishByDigestOnly(t *testing.T) {
	reg := registrytest.NewRegistry(t)
	repo := reg.Tag(t, "a:x").Repository
	artifact := Artifact{Name: "a", Image: registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 1, 100)), Repositories: []name.Repository{repo}}
	digests, err := NewRegistry(RegistryOptions{}).Publish(t.Context(), []Artifact{artifact})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Head(repo.Digest(digests[0].String())); err != nil {
		t.Error(err)
	}
	if tags, err := remote.List(repo); err == nil && len(tags) != 0 {
		t.Errorf("tags were set: %q", tags)
	}
}

func TestPublishToNowhere(t *testing.T) {
	for says, artifact := range map[string]Artifact{
		`image "a": there is no tag or repository`:        {Name: "a", Image: registrytest.ImageOf(t, "amd64")},
		`image "b": neither an index nor an image`:        {Name: "b"},
		`image "c": both an index and an image are given`: {Name: "c", Image: registrytest.ImageOf(t, "amd64"), Index: registrytest.IndexOf()},
	} {
		_, err := NewRegistry(RegistryOptions{}).Publish(t.Context(), []Artifact{artifact})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v does not say %q", err, says)
		}
	}
}

func TestPublishAgainReadsNothing(t *testing.T) {
	reg := registrytest.NewRegistry(t)
	push := func(layer *registrytest.Layer) []Upload {
		var uploads []Upload
		r := NewRegistry(RegistryOptions{Report: func(u Upload) { uploads = append(uploads, u) }})
		if _, err := r.Publish(t.Context(), []Artifact{{Name: "a", Image: registrytest.ImageOf(t, "amd64", layer), Tags: []name.Tag{reg.Tag(t, "a:x")}}}); err != nil {
			t.Fatal(err)
		}
		return uploads
	}
	push(registrytest.NewLayer(t, 1, 10_000))
	puts := len(reg.Matching("PUT "))
	known := registrytest.NewLayer(t, 1, 10_000).Known(t)
	uploads := push(known)
	if n := known.Opens.Load(); n != 0 {
		t.Errorf("a layer that the registry has was opened %d times", n)
	}
	if len(uploads) != 1 || uploads[0].How != Existing {
		t.Errorf("reported %+v", uploads)
	}
	if again := len(reg.Matching("PUT ")) - puts; again != 0 {
		t.Errorf("%d requests put what was there", again)
	}
}

// A registry that has an image has its layers: they are not asked for one by one.
func TestPublishAsksForKnownImagesOnly(t *testing.T) {
	reg := registrytest.NewRegistry(t)
	one, two, three := registrytest.NewLayer(t, 1, 5_000), registrytest.NewLayer(t, 2, 5_000), registrytest.NewLayer(t, 3, 5_000)
	tags := []name.Tag{reg.Tag(t, "acme/box:latest")}
	first := Artifact{Name: "box", Index: registrytest.IndexOf(registrytest.ImageOf(t, "amd64", one, two), registrytest.ImageOf(t, "arm64", one, three)), Tags: tags}
	if _, err := NewRegistry(RegistryOptions{}).Publish(t.Context(), []Artifact{first}); err != nil {
		t.Fatal(err)
	}
	before := len(reg.Matching())
	known := []*registrytest.Layer{registrytest.NewLayer(t, 1, 5_000).Known(t), registrytest.NewLayer(t, 2, 5_000).Known(t), registrytest.NewLayer(t, 3, 5_000).Known(t), registrytest.NewLayer(t, 4, 5_000).Known(t)}
	same := Artifact{Name: "box", Index: registrytest.IndexOf(registrytest.ImageOf(t, "amd64", known[0], known[1]), registrytest.ImageOf(t, "arm64", known[0], known[2])), Tags: tags}
	var how []How
	registry := NewRegistry(RegistryOptions{Report: func(u Upload) { how = append(how, u.How) }})
	if _, err := registry.Publish(t.Context(), []Artifact{same}); err != nil {
		t.Fatal(err)
	}
	if again := reg.Matching()[before:]; slices.ContainsFunc(again, func(r string) bool { return strings.Contains(r, "/blobs/") }) || len(again) > 6 {
		t.Errorf("an unchanged index costs %q", again)
	}
	if !slices.Equal(how, []How{Existing, Existing, Existing}) {
		t.Errorf("reported %v", how)
	}
	// One platform is new: the other's layers are not asked for, what is new is sent.
	changed := Artifact{Name: "box", Index: registrytest.IndexOf(registrytest.ImageOf(t, "amd64", known[0], known[1]), registrytest.ImageOf(t, "arm64", known[0], known[3])), Tags: tags}
	digests, err := NewRegistry(RegistryOptions{}).Publish(t.Context(), []Artifact{changed})
	if err != nil {
		t.Fatal(err)
	}
	checkPulled(t, tags[0], digests[0])
	for i, want := range []int{0, 0, 0, 1} {
		if got := int(known[i].Opens.Load()); got != want {
			t.Errorf("layer %d was read %d times, want %d", i+1, got, want)
		}
	}
}

func TestPublishTriesAgain(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault registrytest.Fault
		known bool
	}{
		{name: "500 after the whole upload", fault: registrytest.Fault{Method: "PATCH", Answer: registrytest.Status(500)}},
		{name: "500 after the whole upload of a known layer", known: true, fault: registrytest.Fault{Method: "PATCH", Answer: registrytest.Status(500)}},
		{name: "connection cut in mid-upload", fault: registrytest.Fault{Method: "PATCH", Answer: registrytest.Cut}},
		{name: "connection cut in mid-upload of a known layer", known: true, fault: registrytest.Fault{Method: "PATCH", Answer: registrytest.Cut}},
		{name: "502 on commit", fault: registrytest.Fault{Method: "PUT", Path: "/blobs/uploads/", Answer: registrytest.Status(502)}},
		{name: "503 on begin", fault: registrytest.Fault{Method: "POST", Path: "/blobs/uploads/", Answer: registrytest.Status(503)}},
		{name: "500 on HEAD", known: true, fault: registrytest.Fault{Method: "HEAD", Path: "/blobs/", Answer: registrytest.Status(500)}},
		{name: "504 on manifest", fault: registrytest.Fault{Method: "PUT", Path: "/manifests/sha256:", Answer: registrytest.Status(504)}},
		{name: "408 on tag", fault: registrytest.Fault{Method: "PUT", Path: "/manifests/x", Answer: registrytest.Status(408)}},
		{name: "500 on ping", fault: registrytest.Fault{Method: "GET", Path: "/v2/", Answer: registrytest.Status(500)}},
		{name: "cut on ping", fault: registrytest.Fault{Method: "GET", Path: "/v2/", Answer: registrytest.Cut}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.fault.Nth = 1
			reg := registrytest.NewRegistry(t, &test.fault)
			layer := registrytest.NewLayer(t, 7, 800_000)
			if test.known {
				layer.Known(t)
			}
			var sent atomic.Int64
			var reports int
			r, waits := hasty(RegistryOptions{Sent: func(n int64) { sent.Add(n) }, Report: func(Upload) { reports++ }})
			digests, err := r.Publish(t.Context(), []Artifact{{Name: "a", Image: registrytest.ImageOf(t, "amd64", layer), Tags: []name.Tag{reg.Tag(t, "a:x")}}})
			if err != nil {
				t.Fatal(err)
			}
			checkPulled(t, reg.Tag(t, "a:x"), digests[0])
			if len(waits()) != 1 {
				t.Errorf("waited %v, want one wait", waits())
			}
			config, err := registrytest.ImageOf(t, "amd64", layer).RawConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			if want := layer.Bytes + int64(len(config)); sent.Load() != want || reports != 1 {
				t.Errorf("%d bytes and %d layers are said to have been sent, want %d and 1", sent.Load(), reports, want)
			}
		})
	}
}

func TestPublishObeysRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "4000": 0} {
		reg := registrytest.NewRegistry(t, &registrytest.Fault{Method: "PATCH", Nth: 1, Answer: registrytest.Status(429, "Retry-After", header)})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var waited time.Duration
		r := NewRegistry(RegistryOptions{Client: registry.New(registry.Options{
			Retry: retry.Policy{First: time.Microsecond}, Logger: slog.New(waits(func(wait time.Duration) { waited = wait; cancel() })),
		})})
		_, err := r.Publish(ctx, []Artifact{{Name: "a", Image: registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 1, 100)), Tags: []name.Tag{reg.Tag(t, "a:x")}}})
		if waited != want || err == nil {
			t.Errorf("Retry-After %s: waited %s, error is %v", header, waited, err)
		}
	}
}

// A token that expires in mid-upload makes go-containerregistry send the same, now empty, body again.
func TestPublishSurvivesAnExpiredToken(t *testing.T) {
	for _, answer := range []func(http.ResponseWriter, *http.Request){
		func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) },
		func(http.ResponseWriter, *http.Request) {},
	} {
		reg := registrytest.NewRegistry(t)
		challenge := func(w http.ResponseWriter) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+reg.URL+`/token",service="fake"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
		reg.Faults = []*registrytest.Fault{
			{Method: "GET", Path: "/token", Nth: 1, Forever: true, Answer: func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, `{"token":"secret"}`)
			}},
			{Method: "GET", Path: "/v2/", Nth: 1, Answer: func(w http.ResponseWriter, _ *http.Request) { challenge(w) }},
			{Method: "PATCH", Nth: 1, Answer: func(w http.ResponseWriter, r *http.Request) { answer(w, r); challenge(w) }},
		}
		layer := registrytest.NewLayer(t, 1, 500_000)
		r, _ := hasty(RegistryOptions{})
		digests, err := r.Publish(t.Context(), []Artifact{{Name: "a", Image: registrytest.ImageOf(t, "amd64", layer), Tags: []name.Tag{reg.Tag(t, "a:x")}}})
		if err != nil {
			t.Fatal(err)
		}
		checkPulled(t, reg.Tag(t, "a:x"), digests[0])
		if layer.Bytes < 500_000 {
			t.Errorf("a layer of %d bytes was pushed", layer.Bytes)
		}
	}
}

func TestPublishMovesNoTagOnFailure(t *testing.T) {
	for _, broken := range []registrytest.Fault{
		{Method: "PATCH", Nth: 4, Forever: true, Answer: registrytest.Status(500)},
		{Method: "PUT", Path: "/two/manifests/sha256:", Nth: 1, Forever: true, Answer: registrytest.Status(500)},
		{Method: "PUT", Path: "/two/manifests/sha256:", Nth: 1, Forever: true, Answer: registrytest.Status(403)},
	} {
		reg := registrytest.NewRegistry(t, &broken)
		r, waits := hasty(RegistryOptions{Jobs: 1}, registry.Options{Retry: retry.Policy{Attempts: 3}})
		_, err := r.Publish(t.Context(), []Artifact{
			{Name: "one", Image: registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 1, 1000)), Tags: []name.Tag{reg.Tag(t, "one:x")}},
			{Name: "two", Image: registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 2, 1000), registrytest.NewLayer(t, 3, 1000)), Tags: []name.Tag{reg.Tag(t, "two:x")}},
		})
		var fault *registry.Error
		if !errors.As(err, &fault) {
			t.Fatalf("%s: error is %v", broken.Path, err)
		}
		if want := map[registry.Kind]int{registry.Unavailable: 2, registry.Forbidden: 0}[fault.Kind]; len(waits()) != want {
			t.Errorf("%v: waited %v, want %d waits", err, waits(), want)
		}
		if tags := append(reg.Matching("PUT ", "/one/manifests/x"), reg.Matching("PUT ", "/two/manifests/x")...); len(tags) != 0 {
			t.Errorf("a tag moved: %q", tags)
		}
	}
}

func TestPublishOfALayerThatCannotBeRead(t *testing.T) {
	reg := registrytest.NewRegistry(t)
	layer := registrytest.NewLayer(t, 1, 1000)
	// A layer that comes over the network may fail like a registry, but what is broken is not the upload.
	gone := &net.OpError{Op: "read", Net: "tcp", Err: errors.New("store is gone")}
	whole := layer.Open
	layer.Open = func() io.Reader { return io.MultiReader(io.LimitReader(whole(), 500), failing{gone}) }
	r, waits := hasty(RegistryOptions{})
	_, err := r.Publish(t.Context(), []Artifact{{Name: "a", Image: registrytest.ImageOf(t, "amd64", layer), Tags: []name.Tag{reg.Tag(t, "a:x")}}})
	if !errors.Is(err, gone) || errors.As(err, new(*registry.Error)) || len(waits()) != 0 {
		t.Errorf("error is %v, after waits %v", err, waits())
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestPublishCancelledInMidUpload(t *testing.T) {
	before := runtime.NumGoroutine()
	stuck := make(chan struct{})
	reg := registrytest.NewRegistry(t, &registrytest.Fault{Method: "PATCH", Nth: 1, Forever: true, Answer: func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 1000)
		<-stuck
	}})
	layers := []v1.Layer{registrytest.NewLayer(t, 1, 2_000_000), registrytest.NewLayer(t, 2, 2_000_000)}
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := errors.New("interrupted")
	var once atomic.Bool
	r := NewRegistry(RegistryOptions{Sent: func(int64) {
		if once.CompareAndSwap(false, true) {
			cancel(interrupted)
		}
	}})
	_, err := r.Publish(ctx, []Artifact{{Name: "a", Image: registrytest.ImageOf(t, "amd64", layers...), Tags: []name.Tag{reg.Tag(t, "a:x")}}})
	if !errors.Is(err, interrupted) {
		t.Errorf("error is %v", err)
	}
	for _, layer := range layers {
		if n := layer.(*registrytest.Layer).Live.Load(); n != 0 {
			t.Errorf("%d streams are still open", n)
		}
	}
	close(stuck)
	reg.Close()
	for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// Half of the tags would be worse than all or none.
func TestPublishCancelledWhileTaggingMovesAllTags(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	reg := registrytest.NewRegistry(t, &registrytest.Fault{Method: "PUT", Path: "/manifests/t", Nth: 1, Answer: func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		w.WriteHeader(http.StatusInternalServerError)
	}})
	registry, _ := hasty(RegistryOptions{Jobs: 1})
	tags := []name.Tag{reg.Tag(t, "a:t1"), reg.Tag(t, "a:t2"), reg.Tag(t, "a:t3")}
	digests, err := registry.Publish(ctx, []Artifact{{Name: "a", Image: registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 1, 1000)), Tags: tags}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range tags {
		checkPulled(t, tag, digests[0])
	}
}

func TestPublishCancelledBetweenAttempts(t *testing.T) {
	reg := registrytest.NewRegistry(t, &registrytest.Fault{Method: "PATCH", Nth: 1, Forever: true, Answer: registrytest.Status(500)})
	ctx, cancel := context.WithCancel(t.Context())
	r := NewRegistry(RegistryOptions{Client: registry.New(registry.Options{
		Retry: retry.Policy{First: time.Hour, Max: time.Hour, Patience: 24 * time.Hour}, Logger: slog.New(waits(func(time.Duration) { cancel() })),
	})})
	_, err := r.Publish(ctx, []Artifact{{Name: "a", Image: registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 1, 100)), Tags: []name.Tag{reg.Tag(t, "a:x")}}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// drain is the least registry that takes blobs, and keeps none of their bytes.
func drain(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	switch {
	case r.Method == http.MethodHead:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodPost, r.Method == http.MethodPatch:
		w.Header().Set("Location", "/v2/a/blobs/uploads/1")
		w.WriteHeader(http.StatusAccepted)
	case r.Method == http.MethodPut:
		w.WriteHeader(http.StatusCreated)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestPublishHoldsNoLayerInMemory(t *testing.T) {
	const size = 32 << 20
	reg := registrytest.NewRegistry(t)
	reg.Faults = []*registrytest.Fault{{Nth: 1, Forever: true, Method: "PATCH", Answer: drain}, {Nth: 1, Forever: true, Method: "POST", Answer: drain},
		{Nth: 1, Forever: true, Method: "PUT", Answer: drain}, {Nth: 1, Forever: true, Method: "HEAD", Answer: drain}}
	layer := &registrytest.Layer{Open: func() io.Reader { return io.LimitReader(zeros{}, size) }}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := NewRegistry(RegistryOptions{}).Publish(t.Context(),
		[]Artifact{{Name: "a", Image: registrytest.ImageOf(t, "amd64", layer), Tags: []name.Tag{reg.Tag(t, "a:x")}}})
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if layer.Bytes != size {
		t.Errorf("%d bytes were read, want %d", layer.Bytes, size)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > size/4 {
		t.Errorf("%d MiB were allocated to send %d MiB", allocated>>20, size>>20)
	}
}

package build

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/report"
)

// inspectEvery is how long the existence of a manifest in a registry counts as
// that of its blobs. Registries may lose blobs and keep their manifests.
const inspectEvery = 24 * time.Hour

// inspections decides which images are inspected: those that, by the cache, no
// repository had all of within the last day. With --verify all are. Its methods
// may be called from any goroutine.
type inspections struct {
	known  cached
	always bool
	now    time.Time
	log    *slog.Logger

	mu       sync.Mutex
	complete map[string]bool // keys of images that were found complete, or completed
	found    []publish.Inspection
}

var _ publish.Inspector = (*inspections)(nil)

func (b *Builder) newInspections(known cached) *inspections {
	now := b.Now
	if now == nil {
		now = time.Now
	}
	return &inspections{known: known, always: b.Verify, now: now(), log: b.Log, complete: map[string]bool{}}
}

// inspectionKey names an image in a repository in the cache: "ghcr.io/acme/box@sha256:1f…".
func inspectionKey(repo name.Repository, image v1.Hash) string {
	return repo.Name() + "@" + image.String()
}

// last returns when a repository last had all of an image, by the cache.
func (i *inspections) last(key string) (time.Time, bool) {
	for _, m := range i.known {
		if at, ok := m.Inspected(key); ok {
			return at, true
		}
	}
	return time.Time{}, false
}

// Due implements [publish.Inspector]. A time in the future counts as none: a
// clock was wrong.
func (i *inspections) Due(repo name.Repository, image v1.Hash) bool {
	last, ok := i.last(inspectionKey(repo, image))
	age := i.now.Sub(last)
	return i.always || !ok || age < 0 || age >= inspectEvery
}

// Inspected implements [publish.Inspector].
func (i *inspections) Inspected(found publish.Inspection) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.found = append(i.found, found)
	image := found.Repository.Name() + "@" + found.Image.String()
	if len(found.Lost) == 0 {
		i.log.Info(fmt.Sprintf("the registry was asked for all blobs of %s: all %d exist", image, found.Blobs))
		return
	}
	i.log.Warn(fmt.Sprintf("the registry has lost %d of %d blobs of %s, so that it cannot be pulled: they are uploaded again",
		len(found.Lost), found.Blobs, image), "lost", found.Lost[0].String())
}

// Complete implements [publish.Inspector].
func (i *inspections) Complete(repo name.Repository, image v1.Hash) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.complete[inspectionKey(repo, image)] = true
}

// keep writes to page when each of some repositories last had all of an image.
func (i *inspections) keep(page cache.Snapshot, repositories []name.Repository, image v1.Hash) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, repo := range repositories {
		key := inspectionKey(repo, image)
		if i.complete[key] {
			page.Inspected[key] = i.now
		} else if last, ok := i.last(key); ok {
			page.Inspected[key] = last
		}
	}
}

// of returns the inspections of the images of some platforms, for the report.
func (i *inspections) of(platforms []builtPlatform, repositories []name.Repository) (all []report.Inspection) {
	wanted := map[string]bool{}
	for _, p := range platforms {
		digest, err := p.image.Digest()
		if err != nil {
			continue
		}
		for _, repo := range repositories {
			wanted[inspectionKey(repo, digest)] = true
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, f := range i.found {
		if wanted[inspectionKey(f.Repository, f.Image)] {
			all = append(all, report.Inspection{Repository: f.Repository.Name(), Digest: f.Image, Blobs: f.Blobs, Lost: f.Lost})
		}
	}
	return all
}

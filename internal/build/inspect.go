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

// inspectEvery is how long a registry is believed to have the blobs of an image
// whose manifest it has.
const inspectEvery = 24 * time.Hour

// inspections decides which images are inspected: those of which the cache does
// not say that a repository had all of it within the last day, and all images
// if the cache is not believed.
type inspections struct {
	known  recalled
	always bool
	now    time.Time
	log    *slog.Logger

	mu       sync.Mutex
	complete map[string]bool // keys of images that were found or made whole
	found    []publish.Inspection
}

var _ publish.Inspector = (*inspections)(nil)

func (l *Line) newInspections(known recalled) *inspections {
	now := l.Now
	if now == nil {
		now = time.Now
	}
	return &inspections{known: known, always: l.Verify, now: now(), log: l.Log, complete: map[string]bool{}}
}

// inspectionKey is what the cache knows an image in a repository by.
func inspectionKey(repo name.Repository, image v1.Hash) string {
	return repo.Name() + "@" + image.String()
}

// last is when an image was last known to be whole.
func (i *inspections) last(key string) (time.Time, bool) {
	for _, m := range i.known {
		if at, ok := m.Inspected(key); ok {
			return at, true
		}
	}
	return time.Time{}, false
}

// Due implements [publish.Inspector]. A time that is still to come is as good as
// none: a clock was wrong.
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

// keep notes when each of some repositories last had all of an image.
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

// of are the inspections of some images, as facts.
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

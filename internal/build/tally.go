package build

import (
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/progress"
	"github.com/org/nixery-action/internal/publish"
)

// tally counts layers and their bytes by how they came to be there.
type layerTotals struct {
	layers [3]int
	bytes  [3]int64
	after  time.Duration // when the last of them was there
}

func (t *layerTotals) add(a layerStats) {
	t.layers[a.How]++
	t.bytes[a.How] += a.Size
	t.after = max(t.after, a.after)
}

func (t *layerTotals) String() string {
	text := fmt.Sprintf("%d layers uploaded, %s", t.layers[publish.Uploaded], progress.Size(t.bytes[publish.Uploaded]))
	if n := t.layers[publish.Mounted]; n > 0 {
		text += fmt.Sprintf("; %d mounted, %s", n, progress.Size(t.bytes[publish.Mounted]))
	}
	if n := t.layers[publish.Existing]; n > 0 {
		text += fmt.Sprintf("; %d were there, %s", n, progress.Size(t.bytes[publish.Existing]))
	}
	return text
}

// saved is the bytes that need not be sent.
func (t *layerTotals) saved() int64 { return t.bytes[publish.Mounted] + t.bytes[publish.Existing] }

// of is what became of some layers in some repositories. It is false if no
// registry got them.
func (s *Stats) of(digests []v1.Hash, repositories []name.Repository) (t layerTotals, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, repository := range repositories {
		for _, digest := range digests {
			if a, there := s.arrived[location{repository.Name(), digest}]; there {
				t.add(a)
				ok = true
			}
		}
	}
	return t, ok
}

// tellImages says of each image what its layers cost. For a single one the
// stage has said it.
func (b *Builder) tellImages(targets []Target, dests []Delivery, made []built, stats *Stats) {
	if len(targets) < 2 {
		return
	}
	for i, target := range targets {
		t, ok := stats.of(digestsOf(made[i]), repositoriesOf(dests, i))
		if !ok {
			continue
		}
		text := fmt.Sprintf("image %s: %s; %s saved", target.Name, &t, progress.Size(t.saved()))
		if took := t.after.Truncate(time.Second); took > 0 {
			text += " (" + took.String() + ")"
		}
		b.Log.Info(text)
	}
}

func digestsOf(b built) []v1.Hash {
	var digests []v1.Hash
	for _, layer := range distinctLayers([]built{b}) {
		if digest, err := layer.Digest(); err == nil {
			digests = append(digests, digest)
		}
	}
	return digests
}

// repositoriesOf are those of one image at all destinations.
func repositoriesOf(dests []Delivery, image int) []name.Repository {
	var all []name.Repository
	for _, d := range dests {
		all = append(all, d.of(image).repositories()...)
	}
	return distinctRepositories(all)
}

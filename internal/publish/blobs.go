package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"golang.org/x/sync/errgroup"

	"github.com/org/nixery-action/internal/registry"
	"github.com/org/nixery-action/internal/scratch"
)

// blobs is the directory blobs/sha256 of an OCI layout.
type blobs struct {
	root string // the layout's directory
	jobs int
	sent func(int64)
}

func (b *blobs) dir() string                { return filepath.Join(b.root, "blobs", "sha256") }
func (b *blobs) path(digest v1.Hash) string { return filepath.Join(b.dir(), digest.Hex) }

// write stores all that the artifacts refer to, and the artifacts' own manifests last.
func (b *blobs) write(ctx context.Context, artifacts []Artifact) error {
	if err := os.MkdirAll(b.dir(), 0o777); err != nil {
		return err
	}
	scratch.Sweep(slog.New(slog.DiscardHandler), b.root, b.dir())
	if err := b.writeLayers(ctx, artifacts); err != nil {
		return err
	}
	for _, a := range artifacts {
		if err := b.writeManifests(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// writeLayers stores every layer, reading each once at most.
func (b *blobs) writeLayers(ctx context.Context, artifacts []Artifact) error {
	layers, err := distinctLayers(artifacts)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(b.jobs)
	for _, layer := range layers {
		g.Go(func() error { return b.writeLayer(ctx, layer) })
	}
	return g.Wait()
}

func distinctLayers(artifacts []Artifact) ([]v1.Layer, error) {
	var distinct []v1.Layer
	seen := map[any]bool{}
	for _, a := range artifacts {
		layers, err := a.layers()
		if err != nil {
			return nil, err
		}
		for _, layer := range layers {
			if key := layerKey(layer); !seen[key] {
				seen[key] = true
				distinct = append(distinct, layer)
			}
		}
	}
	return distinct, nil
}

func (b *blobs) writeLayer(ctx context.Context, layer v1.Layer) error {
	want, err := layer.Digest()
	known := err == nil
	if known {
		if size, err := layer.Size(); err == nil && b.has(want, size) {
			return nil
		}
	}
	got, err := b.copyLayer(ctx, layer)
	if err != nil {
		return err
	}
	if !known {
		if want, err = layer.Digest(); err != nil {
			return fmt.Errorf("measuring a layer after it was read: %w", err)
		}
	}
	if got != want {
		return errors.Join(fmt.Errorf("layer says that it is %s, but its bytes are %s", want, got), os.Remove(b.path(got)))
	}
	return nil
}

func (b *blobs) copyLayer(ctx context.Context, layer v1.Layer) (v1.Hash, error) {
	in, err := registry.OpenLayer(ctx, layer, b.sent)
	if err != nil {
		return v1.Hash{}, err
	}
	digest, err := b.store(in)
	if cerr := in.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		in.TakeBack()
	}
	return digest, err
}

// writeManifests stores the artifact's configs and manifests, children before parents.
func (b *blobs) writeManifests(ctx context.Context, a Artifact) error {
	manifests, err := a.Manifests()
	if err != nil {
		return err
	}
	for _, m := range manifests {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b.writeManifest(m); err != nil {
			return fmt.Errorf("image %q: %w", a.Name, err)
		}
	}
	return nil
}

// writeAttached stores the manifests attached to the artifact, with their layers and configs.
func (b *blobs) writeAttached(ctx context.Context, a Artifact) error {
	attached, err := a.Attached()
	if err != nil {
		return err
	}
	for _, image := range attached {
		layers, err := image.Layers()
		if err != nil {
			return fmt.Errorf("image %q: reading attached layers: %w", a.Name, err)
		}
		for _, layer := range layers {
			if err := b.writeLayer(ctx, layer); err != nil {
				return err
			}
		}
		if err := b.writeManifest(image); err != nil {
			return fmt.Errorf("image %q: attached: %w", a.Name, err)
		}
	}
	return nil
}

func (b *blobs) writeManifest(m Manifest) error {
	if image, ok := m.(partial.WithRawConfigFile); ok {
		config, err := image.RawConfigFile()
		if err != nil {
			return fmt.Errorf("reading config: %w", err)
		}
		if _, err := b.store(bytes.NewReader(config)); err != nil {
			return err
		}
	}
	raw, err := m.RawManifest()
	if err != nil {
		return fmt.Errorf("reading manifest: %w", err)
	}
	_, err = b.store(bytes.NewReader(raw))
	return err
}

// store writes a blob under the digest of its bytes.
func (b *blobs) store(r io.Reader) (v1.Hash, error) {
	sum := sha256.New()
	var digest v1.Hash
	err := scratch.ReplaceNamed(b.dir(), func() string { return digest.Hex }, func(w io.Writer) error {
		if _, err := io.Copy(io.MultiWriter(w, sum), r); err != nil {
			return err
		}
		digest = v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}
		return nil
	})
	return digest, err
}

func (b *blobs) has(digest v1.Hash, size int64) bool {
	info, err := os.Lstat(b.path(digest)) // a link is replaced, whatever it leads to
	return err == nil && info.Mode().IsRegular() && info.Size() == size
}

package publish

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/org/nixery-action/internal/registry"
)

// loadable is a docker archive that is written to a stream. Its layers come first: an image's config is known
// when they are.
type loadable struct {
	ctx  context.Context //nolint:containedctx // of one call
	tar  *tar.Writer
	sent func(int64)
}

// writeLoadable writes one docker archive of all images, whose layers are measured afterwards.
func writeLoadable(ctx context.Context, w io.Writer, artifacts []Artifact, images []v1.Image, sent func(int64)) error {
	l := &loadable{ctx: ctx, tar: tar.NewWriter(w), sent: sent}
	layers, err := distinctLayers(artifacts)
	if err != nil {
		return err
	}
	written := map[string]bool{}
	for _, layer := range layers {
		if err := l.writeLayer(layer, written); err != nil {
			return err
		}
	}
	described := make([]tarball.Descriptor, len(images))
	for i, image := range images {
		if described[i], err = l.writeConfig(artifacts[i], image, written); err != nil {
			return fmt.Errorf("image %q: %w", artifacts[i].Name, err)
		}
	}
	raw, err := json.Marshal(described)
	if err != nil {
		return err
	}
	if err := l.write("manifest.json", int64(len(raw)), bytes.NewReader(raw)); err != nil {
		return err
	}
	return l.tar.Close()
}

// writeLayer writes a layer, through a file if its size is not known: a tar's headers tell it before the bytes.
func (l *loadable) writeLayer(layer v1.Layer, written map[string]bool) error {
	if size, err := layer.Size(); err == nil {
		return l.writeKnown(layer, size, written)
	}
	return inTempDir(stdoutPath, func(dir string) error {
		files := &blobs{root: dir, sent: l.sent}
		if err := os.MkdirAll(files.dir(), 0o700); err != nil {
			return err
		}
		if err := files.writeLayer(l.ctx, layer); err != nil {
			return err
		}
		name, digest, err := archiveName(layer)
		if err != nil || written[name] {
			return err
		}
		written[name] = true
		return writeEntry(l.ctx, l.tar, tarEntry{name: name, path: files.path(digest)})
	})
}

func (l *loadable) writeKnown(layer v1.Layer, size int64, written map[string]bool) error {
	name, _, err := archiveName(layer)
	if err != nil || written[name] {
		return err
	}
	written[name] = true
	in, err := registry.OpenLayer(l.ctx, layer, l.sent)
	if err != nil {
		return err
	}
	err = l.write(name, size, in)
	if cerr := in.Close(); err == nil {
		err = cerr
	}
	return err
}

// writeConfig writes an image's config, and tells what manifest.json says of the image.
func (l *loadable) writeConfig(a Artifact, image v1.Image, written map[string]bool) (tarball.Descriptor, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return tarball.Descriptor{}, fmt.Errorf("reading manifest: %w", err)
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return tarball.Descriptor{}, fmt.Errorf("reading config: %w", err)
	}
	d := describe(a, manifest)
	if written[d.Config] {
		return d, nil
	}
	written[d.Config] = true
	return d, l.write(d.Config, int64(len(config)), bytes.NewReader(config))
}

func (l *loadable) write(name string, size int64, r io.Reader) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(1, 0)}
	if err := l.tar.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(l.tar, r)
	return err
}

// archiveName is a layer's file in a docker archive. The layer must be measured.
func archiveName(layer v1.Layer) (string, v1.Hash, error) {
	digest, err := layer.Digest()
	if err != nil {
		return "", digest, fmt.Errorf("measuring a layer after it was read: %w", err)
	}
	mediaType, err := layer.MediaType()
	return digest.Hex + layerSuffix(v1.Descriptor{MediaType: mediaType}), digest, err
}

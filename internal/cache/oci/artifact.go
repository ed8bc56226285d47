package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/cache"
)

// ArtifactType is the type of an entry's manifest in a registry:
// https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md#guidelines-for-artifact-usage
const ArtifactType = "application/vnd.nixery-action.cache.v1+json"

const (
	entryMediaType  types.MediaType = "application/vnd.nixery-action.cache.entry.v1"
	emptyMediaType  types.MediaType = "application/vnd.oci.empty.v1+json"
	entryAnnotation                 = "vnd.nixery-action.cache.entry" // the entry's name
)

func digestContent(ctx context.Context, size int64, open func() (io.ReadCloser, error)) (v1.Hash, error) {
	pipe, w := io.Pipe()
	go func() { w.CloseWithError(cache.CopyAll(ctx, w, size, open)) }()
	defer pipe.Close()
	digest, _, err := v1.SHA256(pipe)
	return digest, err
}

// artifact is an entry as a registry keeps it: a manifest, its empty config, and the content.
type artifact struct {
	manifest        []byte
	config, content v1.Layer
}

var _ remote.Taggable = artifact{}

func newArtifact(entry cache.Name, content artifactLayer) (artifact, error) {
	empty := []byte("{}")
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: ArtifactType,
		Config:      v1.Descriptor{MediaType: emptyMediaType, Size: int64(len(empty)), Digest: cache.DigestOf(empty)},
		Layers:      []v1.Descriptor{{MediaType: entryMediaType, Size: content.size, Digest: content.digest}},
		Annotations: map[string]string{entryAnnotation: entry.String()},
	})
	return artifact{manifest, static.NewLayer(empty, emptyMediaType), content}, err
}

// RawManifest implements [remote.Taggable].
func (a artifact) RawManifest() ([]byte, error) { return a.manifest, nil }

// MediaType tells the registry what RawManifest is.
func (a artifact) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// parseArtifact reads a manifest that others may have written.
func parseArtifact(scope cache.Scope, text []byte) (cache.Entry, v1.Hash, error) {
	manifest, err := v1.ParseManifest(bytes.NewReader(text))
	if err != nil {
		return cache.Entry{}, v1.Hash{}, fmt.Errorf("reading manifest: %w", err)
	}
	entry, err := scope.Parse(manifest.Annotations[entryAnnotation])
	if err != nil || manifest.ArtifactType != ArtifactType || len(manifest.Layers) != 1 {
		return cache.Entry{}, v1.Hash{}, errors.New("the tag points to something that is not a cache entry of this scope")
	}
	content := manifest.Layers[0]
	if !cache.IsSHA256(content.Digest) || content.Size < 0 {
		return cache.Entry{}, v1.Hash{}, errors.New("the manifest does not say what its content is")
	}
	return cache.Entry{Name: entry, Size: content.Size}, content.Digest, nil
}

// artifactLayer is content for go-containerregistry, which sends it in one stream.
type artifactLayer struct {
	digest v1.Hash
	size   int64
	open   func() (io.ReadCloser, error)
}

var _ v1.Layer = artifactLayer{}

func (l artifactLayer) Digest() (v1.Hash, error)             { return l.digest, nil }
func (l artifactLayer) DiffID() (v1.Hash, error)             { return l.digest, nil }
func (l artifactLayer) Compressed() (io.ReadCloser, error)   { return l.open() }
func (l artifactLayer) Uncompressed() (io.ReadCloser, error) { return l.open() }
func (l artifactLayer) Size() (int64, error)                 { return l.size, nil }
func (l artifactLayer) MediaType() (types.MediaType, error)  { return entryMediaType, nil }

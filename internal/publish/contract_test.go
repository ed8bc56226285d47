package publish_test

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/publish/publishtest"
	"github.com/org/nixery-action/internal/registry/registrytest"
)

func TestRegistryContract(t *testing.T) {
	publishtest.Run(t, func(t *testing.T, sent func(int64)) publishtest.Site {
		reg := registrytest.NewRegistry(t)
		repository := reg.Host() + "/acme"
		return publishtest.Site{Repository: repository, Destination: publish.NewRegistry(publish.RegistryOptions{Sent: sent}), Names: func(t *testing.T) []string {
			var names []string
			for _, box := range []string{"one", "two", "box", "good", "bad"} {
				repo, err := name.NewRepository(repository + "/" + box)
				if err != nil {
					t.Fatal(err)
				}
				tags, _ := remote.List(repo) // a repository that does not exist has none
				for _, tag := range tags {
					if !strings.HasPrefix(tag, "sha256:") { // which the fake lists too
						names = append(names, repo.Tag(tag).Name())
					}
				}
			}
			slices.Sort(names)
			return names
		}}
	})
}

func TestLayoutContract(t *testing.T) {
	publishtest.Run(t, func(t *testing.T, sent func(int64)) publishtest.Site {
		dir := filepath.Join(t.TempDir(), "layout")
		return publishtest.Site{Repository: "localhost/acme", Destination: publish.Layout{Path: dir, Sent: sent}, Names: func(t *testing.T) []string {
			raw, err := os.ReadFile(filepath.Join(dir, "index.json"))
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			var index v1.IndexManifest
			if err = errors.Join(err, json.Unmarshal(raw, &index)); err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, d := range index.Manifests {
				names = append(names, d.Annotations["io.containerd.image.name"])
			}
			slices.Sort(names)
			return names
		}}
	})
}

func TestArchiveContract(t *testing.T) {
	publishtest.Run(t, func(t *testing.T, sent func(int64)) publishtest.Site {
		path := filepath.Join(t.TempDir(), "box.tar")
		return publishtest.Site{OnePlatform: true, Repository: "localhost/acme", Destination: publish.Archive{Path: path, Sent: sent}, Names: func(t *testing.T) []string {
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			manifest, err := tarball.LoadManifest(tarballAt(path))
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, d := range manifest {
				names = append(names, d.RepoTags...)
			}
			slices.Sort(names)
			return names
		}}
	})
}

func TestDaemonContract(t *testing.T) {
	publishtest.Run(t, func(t *testing.T, sent func(int64)) publishtest.Site {
		path := filepath.Join(t.TempDir(), "loaded.tar")
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Api-Version", "1.47")
			if !strings.HasSuffix(r.URL.Path, "/images/load") {
				return
			}
			file, err := os.Create(path + ".part")
			if err != nil {
				t.Error(err)
				return
			}
			_, copied := file.ReadFrom(r.Body)
			if errors.Join(copied, file.Close()) == nil {
				_ = os.Rename(path+".part", path)
			}
		}))
		t.Cleanup(server.Close)
		d, err := publish.NewDaemon(publish.DaemonOptions{Host: "tcp://" + strings.TrimPrefix(server.URL, "http://"), Sent: sent})
		if err != nil {
			t.Fatal(err)
		}
		return publishtest.Site{OnePlatform: true, Repository: "localhost/acme", Destination: d, Names: func(t *testing.T) []string {
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			manifest, err := tarball.LoadManifest(tarballAt(path))
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, d := range manifest {
				names = append(names, d.RepoTags...)
			}
			slices.Sort(names)
			return names
		}}
	})
}

func tarballAt(path string) tarball.Opener {
	return func() (io.ReadCloser, error) { return os.Open(path) }
}

//go:build e2e

package e2e_test

import (
	"archive/tar"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/test/pages"
)

const movingPage = "docs/moving.md"

// moved is what the page says of an image, beyond what all of them have.
type moved struct {
	config v1.Config         // without what all images have
	links  map[string]string // files of the root layer, and the end of what they link to; "" if there must be none
}

// Each spec of the page makes the image that the page says it makes, for each architecture.
func TestMovedImages(t *testing.T) {
	images := map[string]moved{
		"toolbox": {
			config: v1.Config{Cmd: []string{"bash"}},
			links:  map[string]string{"bin/git": "/bin/git", "bin/sh": "/bin/sh", "usr/bin/env": "/bin/env"},
		},
		"site": {
			config: v1.Config{
				Cmd: []string{"caddy", "file-server", "--listen", ":8080", "--root", "/srv"}, Env: []string{"GREETING=hello"},
				User: "1000:1000", ExposedPorts: map[string]struct{}{"8080/tcp": {}},
			},
			links: map[string]string{"srv/index.html": "-site/srv/index.html", "bin/caddy": "/bin/caddy", "bin/sh": "", "usr/bin/env": ""},
		},
		"hello": {
			config: v1.Config{Entrypoint: []string{"/bin/hello"}, Env: []string{"LANG=C.UTF-8"}, User: "1000:1000"},
			links:  map[string]string{"bin/hello": "/bin/hello", "bin/dockerTools.binSh": "/bin/dockerTools.binSh"},
		},
		"app": {
			config: v1.Config{Entrypoint: []string{"/bin/app"}},
			links:  map[string]string{"bin/app": "/bin/app"},
		},
	}
	for _, block := range pages.YamlBlocks.FindAllStringSubmatch(pages.Read(t, movingPage), -1) {
		name, published := buildMoved(t, block[1])
		want, known := images[name]
		if !known || len(published) == 0 {
			t.Errorf("the page has an image %q for %d platforms, of which this test knows nothing", name, len(published))
		}
		delete(images, name)
		for _, img := range published {
			t.Run(name, func(t *testing.T) { checkMoved(t, img, want) })
		}
	}
	for name := range images {
		t.Errorf("the page has no image %q", name)
	}
}

func checkMoved(t *testing.T, img v1.Image, want moved) {
	t.Helper()
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want.config.Env = append([]string{"PATH=/bin:/sbin:/usr/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt"}, want.config.Env...)
	if diff := cmp.Diff(want.config, file.Config); diff != "" {
		t.Errorf("the configuration (-page +image):\n%s", diff)
	}
	entries := rootEntries(t, img)
	want.links["etc/ssl/certs/ca-bundle.crt"] = "/etc/ssl/certs/ca-bundle.crt"
	for _, name := range slices.Sorted(maps.Keys(want.links)) {
		entry, found := entries[name]
		if end := want.links[name]; found != (end != "") || !strings.HasSuffix(entry.Linkname, end) {
			t.Errorf("/%s links to %q (there: %t), want …%q", name, entry.Linkname, found, end)
		}
	}
	for name, mode := range map[string]int64{"tmp/": 0o1777, "etc/passwd": 0o444, "etc/group": 0o444, "etc/nsswitch.conf": 0o444} {
		if entry := entries[name]; entry.Mode != mode || entry.Uid != 0 || entry.ModTime.Unix() != 1 {
			t.Errorf("/%s has mode %o, owner %d, time %d", name, entry.Mode, entry.Uid, entry.ModTime.Unix())
		}
	}
}

// rootEntries is what the topmost layer of an image has.
func rootEntries(t *testing.T, img v1.Image) map[string]tar.Header {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[len(layers)-1].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	entries := map[string]tar.Header{}
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		entries[header.Name] = *header
	}
}

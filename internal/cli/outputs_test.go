package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/report"
)

func digestOf(digit string) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: digit} }

var single = report.Image{
	Name: "box", MediaType: types.DockerManifestSchema2, Digest: digestOf("1"), ManifestSize: 7, Tags: []string{"a/b:1", "a/b:2"},
	Platforms: []report.Platform{{Platform: "linux/amd64", Digest: digestOf("1"), Config: digestOf("c"), Layers: []report.Layer{{Digest: digestOf("l")}}}},
}

var several = report.Image{
	Name: "index", MediaType: types.OCIImageIndex, Digest: digestOf("2"), ManifestSize: 8, Tags: []string{},
	Platforms: []report.Platform{{Platform: "linux/amd64", Digest: digestOf("3")}, {Platform: "linux/arm64/v8", Digest: digestOf("4")}},
}

const (
	singleMetadata = `{"containerimage.config.digest":"sha256:c",` +
		`"containerimage.descriptor":{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","digest":"sha256:1","size":7},` +
		`"containerimage.digest":"sha256:1","image.name":"a/b:1,a/b:2"}`
	severalMetadata = `{"containerimage.descriptor":{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:2","size":8},` +
		`"containerimage.digest":"sha256:2"}`
)

// Keys and form are those of docker/build-push-action for one image, of docker/bake-action for several.
func TestOutputs(t *testing.T) {
	for name, c := range map[string]struct {
		images []report.Image
		want   map[string]string
	}{
		"one platform": {[]report.Image{single}, map[string]string{
			"digest": "sha256:1", "imageid": "sha256:c", "digests": `{"linux/amd64":"sha256:1"}`, "metadata": singleMetadata, "tags": "a/b:1\na/b:2",
		}},
		"several platforms": {[]report.Image{several}, map[string]string{
			"digest": "sha256:2", "imageid": "sha256:2", "digests": `{"linux/amd64":"sha256:3","linux/arm64/v8":"sha256:4"}`,
			"metadata": severalMetadata, "tags": "",
		}},
		"several images": {[]report.Image{single, several}, map[string]string{
			"digest": "", "imageid": "", "tags": "a/b:1\na/b:2", "metadata": `{"box":` + singleMetadata + `,"index":` + severalMetadata + `}`,
			"digests": `{"box":{"linux/amd64":"sha256:1"},"index":{"linux/amd64":"sha256:3","linux/arm64/v8":"sha256:4"}}`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &report.Report{Images: c.images, Run: report.Run{CacheHit: true}}
			got := written(t, r)
			c.want["cache-hit"] = "true"
			for output, want := range c.want {
				if got[output] != want {
					t.Errorf("%s is %s, want %s", output, got[output], want)
				}
			}
			var back struct{ Images []struct{ Name string } }
			if err := json.Unmarshal([]byte(got["json"]), &back); err != nil || len(back.Images) != len(c.images) {
				t.Errorf("json is %s: %v", got["json"], err)
			}
			if !strings.Contains(got["json"], `"layers":[{`) && slices.ContainsFunc(c.images, func(i report.Image) bool { return i.Name == "box" }) {
				t.Errorf("json has no layers: %s", got["json"])
			}
		})
	}
}

// The runner takes 1 MiB of outputs: what would be too much goes without layers.
func TestOutputsAreBounded(t *testing.T) {
	large := single
	large.Platforms = slices.Clone(large.Platforms)
	layer := report.Layer{Paths: slices.Repeat([]nix.StorePath{"/nix/store/00000000000000000000000000000000-a"}, maxOutput/40)}
	large.Platforms[0].Layers = []report.Layer{layer}
	got := written(t, &report.Report{Images: []report.Image{large}})["json"]
	if len(got) > maxOutput || strings.Contains(got, `"layers"`) || !strings.Contains(got, `"sha256:c"`) {
		t.Errorf("%d bytes: %.200s", len(got), got)
	}
}

var output = regexp.MustCompile(`(?s)([a-z-]+)<<(end_[A-Z0-9]+)\n(.*?)\n(end_[A-Z0-9]+)\n`)

func written(t *testing.T, r *report.Report) map[string]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "outputs")
	if err := setOutputs(file, r); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, match := range output.FindAllStringSubmatch(string(text), -1) {
		all[match[1]] = match[3]
	}
	return all
}

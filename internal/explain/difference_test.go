package explain

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/image"
	"github.com/org/nixery-action/internal/markdown"
	"github.com/org/nixery-action/internal/nix"
)

// upgraded is the small closure after a new expat: it, python and app have other
// hashes. expat is larger. zlib is gone, xz is new.
func upgraded() nix.Closure {
	c := small()
	rename := map[nix.StorePath]nix.StorePath{
		storePath(3, "expat-2.6"): storePath(13, "expat-2.7"), storePath(1, "python3-3.11.2"): storePath(11, "python3-3.11.2"),
		storePath(0, "app-1.0"): storePath(10, "app-1.1"), storePath(2, "zlib-1.3"): storePath(12, "xz-5.4"),
	}
	for i := range c.Paths {
		if to, ok := rename[c.Paths[i].Path]; ok {
			c.Paths[i].Path = to
			if to == storePath(13, "expat-2.7") {
				c.Paths[i].NarSize = 3e5
			}
		}
		for j, ref := range c.Paths[i].References {
			if to, ok := rename[ref]; ok {
				c.Paths[i].References[j] = to
			}
		}
	}
	return c
}

func version(n int, name, number string, size int64, asked bool) Version {
	return Version{Name: name, Version: number, Path: storePath(n, name+"-"+number), Size: size, Asked: asked}
}

func TestCompareClosures(t *testing.T) {
	old, new := explained(small(), 4).Contents(), explained(upgraded(), 4).Contents()
	old.Packages = []image.Package{{Name: "app", Path: storePath(0, "app-1.0")}}
	d := Compare(old, new)
	want := Difference{
		Layers: LayerDifference{Old: Amount{4, 1228e5}, New: Amount{4, 1229e5}, Shared: Amount{1, 30e6}, Added: Amount{3, 929e5}, Removed: Amount{3, 928e5}},
		Paths: PathDifference{
			Known: true, Shared: 2, OldSize: 1228e5, NewSize: 1229e5,
			Updated: []Update{
				{version(0, "app", "1.0", 1e6, true), version(10, "app", "1.1", 1e6, false)},
				{version(3, "expat", "2.6", 2e5, false), version(13, "expat", "2.7", 3e5, false)},
			},
			Rebuilt: []Update{{version(1, "python3", "3.11.2", 90e6, false), version(11, "python3", "3.11.2", 90e6, false)}},
			Added:   []Version{version(12, "xz", "5.4", 1e5, false)},
			Removed: []Version{version(2, "zlib", "1.3", 1e5, false)},
		},
	}
	if diff := gocmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
	write := map[string]func(io.Writer, []Difference, int) error{
		"txt": WriteDifferences, "md": WriteDifferencesMarkdown,
		"json": func(w io.Writer, all []Difference, _ int) error { return WriteDifferencesJSON(w, all) },
	}
	for format, write := range write {
		for name, limit := range map[string]int{"difference": 0, "difference-2": 2} {
			var got bytes.Buffer
			if err := write(&got, []Difference{d}, limit); err != nil {
				t.Fatal(err)
			}
			if format != "json" || limit == 0 {
				golden(t, name+"."+format, got.Bytes())
			}
		}
	}
}

// A size that is not known is left out, and so is the sum that lacks it.
func TestCompareWithoutSizes(t *testing.T) {
	old, new := explained(small(), 4).Contents(), explained(upgraded(), 4).Contents()
	delete(old.Sizes, storePath(3, "expat-2.6"))
	delete(new.Sizes, storePath(11, "python3-3.11.2"))
	d := Compare(old, new)
	if d.Paths.OldSize != 0 || d.Paths.NewSize != 0 || d.Paths.RebuiltSize() != 0 {
		t.Errorf("sums of what is not known: %+v", d.Paths)
	}
	var text, page bytes.Buffer
	if err := errors.Join(WriteDifferences(&text, []Difference{d}, 0), WriteDifferencesMarkdown(&page, []Difference{d}, 0)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "2.6 -> 2.7  300.0 kB\n") || strings.Contains(page.String(), "Unpacked") {
		t.Errorf("got\n%s\nand\n%s", &text, &page)
	}
}

// Whoever names a package or makes an image chooses what is in its history.
func TestMarkdownOfHostileNames(t *testing.T) {
	hostile := func(platform, name string) Contents {
		return Contents{Platform: platform, Layers: []Content{{ID: name, Size: 1, Paths: []nix.StorePath{storePath(1, name)}}}}
	}
	const platform = "a|b\n<b>@octocat"
	var got bytes.Buffer
	d := CompareAll([]Contents{hostile(platform, "_x_-1=2")}, []Contents{hostile(platform, "_x_-1?3")})
	if err := WriteDifferencesMarkdown(&got, d, 0); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{markdown.Text(platform), `| updated | \_x\_ | 1\=2 | 1\?3 |`} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("no %s in\n%s", want, &got)
		}
	}
	if strings.Contains(got.String(), platform) {
		t.Errorf("got\n%s", &got)
	}
}

func TestMarkdownSentences(t *testing.T) {
	one := Contents{Compressed: true, Layers: []Content{{ID: "a", Size: 5}}}
	for want, d := range map[string]Difference{
		"all layers are the same.":          Compare(one, one),
		"new, 5 B in 1 layer (compressed).": Compare(Contents{}, one),
		"removed.":                          Compare(one, Contents{}),
		"Upgrading downloads 5 B of 5 B (":  Compare(Contents{Layers: []Content{{ID: "b"}}}, one),
	} {
		if got := d.sentence(); !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		var b bytes.Buffer
		if err := d.writeMarkdown(&b, 0); err != nil || strings.Contains(b.String(), "not known") != strings.HasPrefix(want, "Upgrading") {
			t.Errorf("%s: got\n%s", want, &b)
		}
	}
}

func TestCompareWithItself(t *testing.T) {
	contents := explained(big(t), 20).Contents()
	d := Compare(contents, contents)
	if d.Layers.Shared != d.Layers.New || d.Layers.Added.Layers+d.Layers.Removed.Layers != 0 || d.Paths.Shared != 154 ||
		len(d.Paths.Updated)+len(d.Paths.Rebuilt)+len(d.Paths.Added)+len(d.Paths.Removed) != 0 {
		t.Errorf("got %+v", d)
	}
}

// Outputs of one derivation go with their like, and what is left over with what
// has the name.
func TestPairs(t *testing.T) {
	contents := func(from int, names ...string) Contents {
		var c Contents
		for i, name := range names {
			c.Layers = append(c.Layers, Content{ID: name, Paths: []nix.StorePath{storePath(from+i, name)}})
		}
		return c
	}
	for title, c := range map[string]struct {
		old, new []string
		want     string
	}{
		"outputs":         {[]string{"ssl-1.0", "ssl-1.0-dev", "ssl-1.0-bin"}, []string{"ssl-1.1-bin", "ssl-1.1", "ssl-1.1-dev"}, "1.0>1.1 1.0-bin>1.1-bin 1.0-dev>1.1-dev"},
		"an output fewer": {[]string{"ssl-1.0", "ssl-1.0-dev"}, []string{"ssl-1.1"}, "1.0>1.1 -1.0-dev"},
		"the first gone":  {[]string{"ssl-1.0-bin", "ssl-1.0-dev"}, []string{"ssl-1.1-dev"}, "1.0-dev>1.1-dev -1.0-bin"},
		"other output":    {[]string{"ssl-1.0-dev"}, []string{"ssl-1.1"}, "1.0-dev>1.1"},
		"two versions":    {[]string{"ssl-1.0", "ssl-3.0"}, []string{"ssl-1.0", "ssl-3.1"}, "3.0>3.1 =1.0"},
		"no version":      {[]string{"ssl"}, []string{"ssl-1"}, ">1"},
		"other name":      {[]string{"ssl-1"}, []string{"tls-1"}, "+1 -1"},
		"letters inside":  {[]string{"ssl-1.0a"}, []string{"ssl-1.0b"}, "1.0a>1.0b"},
	} {
		d := Compare(contents(0, c.old...), contents(100, c.new...)).Paths
		var got []string
		for _, u := range d.Updated {
			got = append(got, u.Old.Version+">"+u.New.Version)
		}
		for _, u := range d.Rebuilt {
			got = append(got, "="+u.New.Version)
		}
		for _, p := range d.Added {
			got = append(got, "+"+p.Version)
		}
		for _, p := range d.Removed {
			got = append(got, "-"+p.Version)
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: got %s, want %s", title, text, c.want)
		}
	}
}

func TestCompareAllByPlatform(t *testing.T) {
	on := func(platform, id string) Contents {
		return Contents{Platform: platform, Compressed: true, Layers: []Content{{ID: id, Size: 5}}}
	}
	all := CompareAll([]Contents{on("linux/arm64", "a"), on("linux/amd64", "b")}, []Contents{on("linux/amd64", "b"), on("linux/s390x", "c")})
	var got []string
	for _, d := range all {
		for name, amount := range map[string]Amount{"shared": d.Layers.Shared, "added": d.Layers.Added, "removed": d.Layers.Removed} {
			if amount.Size > 0 {
				got = append(got, d.Platform+" "+name)
			}
		}
		if !d.Compressed {
			t.Errorf("%s: the sizes are of blobs", d.Platform)
		}
	}
	if diff := gocmp.Diff([]string{"linux/amd64 shared", "linux/arm64 removed", "linux/s390x added"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestImageContents(t *testing.T) {
	a, b, c := storePath(1, "a-1"), storePath(2, "b-2"), storePath(3, "c-3")
	layer := func(n int64, hex string) v1.Descriptor {
		return v1.Descriptor{Size: n, Digest: v1.Hash{Algorithm: "sha256", Hex: hex}}
	}
	manifest := &v1.Manifest{Layers: []v1.Descriptor{layer(5, "aa"), layer(6, "bb"), layer(7, "cc")}}
	config := &v1.ConfigFile{OS: "linux", Architecture: "arm64", Variant: "v8", History: []v1.History{
		{Comment: string(a + " 12\n" + b)},
		{EmptyLayer: true, Comment: string(c)},
		{Comment: "store paths: ['" + string(c) + "', '/nix/store/short', '" + string(c) + "/bin/x']"},
		{Comment: "root layer: links to packages\npackage alpha " + string(a)},
	}}
	got, err := ImageContents(manifest, config)
	if err != nil {
		t.Fatal(err)
	}
	want := Contents{Platform: "linux/arm64/v8", Compressed: true, Layers: []Content{
		{ID: "sha256:aa", Size: 5, Paths: []nix.StorePath{a, b}},
		{ID: "sha256:bb", Size: 6, Paths: []nix.StorePath{c}},
		{ID: "sha256:cc", Size: 7},
	}, Sizes: map[nix.StorePath]int64{a: 12}, Packages: []image.Package{{Name: "alpha", Path: a}}}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	config.History = config.History[:2]
	if _, err := ImageContents(manifest, config); err == nil || !strings.Contains(err.Error(), "3 layers") {
		t.Errorf("got %v", err)
	}
	config.History = nil
	foreign, err := ImageContents(manifest, config)
	if err != nil {
		t.Fatal(err)
	}
	if Compare(foreign, got).Paths.Known || Compare(got, foreign).Paths.Known || !Compare(got, got).Paths.Known {
		t.Error("what an image holds is known if it says so")
	}
	var b2 bytes.Buffer
	if err := WriteDifferences(&b2, []Difference{Compare(foreign, got)}, 0); err != nil || !strings.Contains(b2.String(), "not known") {
		t.Errorf("got %s, %v", b2.String(), err)
	}
}

func TestEachImage(t *testing.T) {
	image := func(os string) v1.Descriptor {
		return v1.Descriptor{MediaType: types.OCIManifestSchema1, Platform: &v1.Platform{OS: os}}
	}
	read := func(d v1.Descriptor) ([]Contents, error) { return []Contents{{Platform: d.Platform.OS}}, nil }
	index := &v1.IndexManifest{Manifests: []v1.Descriptor{image("linux"), image("unknown"), {MediaType: "text/plain"}, image("plan9")}}
	if got, err := EachImage(index, read); err != nil || len(got) != 2 || got[0].Platform != "linux" || got[1].Platform != "plan9" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := EachImage(&v1.IndexManifest{Manifests: index.Manifests[1:3]}, read); err == nil || err.Error() != "the index has no images" {
		t.Errorf("without an image: %v", err)
	}
	if _, err := EachImage(&v1.IndexManifest{Manifests: slices.Repeat(index.Manifests[:1], maxImages+1)}, read); err == nil || err.Error() != "the index has more than 64 images" {
		t.Errorf("with too many: %v", err)
	}
}

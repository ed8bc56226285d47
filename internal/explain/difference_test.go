package explain

import (
	"bytes"
	"io"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/image"
	"github.com/org/nixery-action/internal/nixbuild"
)

// upgraded is the small closure after a new expat: it, python and app have other
// hashes. zlib is gone, xz is new.
func upgraded() nixbuild.Closure {
	c := small()
	rename := map[nixbuild.StorePath]nixbuild.StorePath{
		storePath(3, "expat-2.6"): storePath(13, "expat-2.7"), storePath(1, "python3-3.11.2"): storePath(11, "python3-3.11.2"),
		storePath(0, "app-1.0"): storePath(10, "app-1.1"), storePath(2, "zlib-1.3"): storePath(12, "xz-5.4"),
	}
	for i := range c.Paths {
		if to, ok := rename[c.Paths[i].Path]; ok {
			c.Paths[i].Path = to
		}
		for j, ref := range c.Paths[i].References {
			if to, ok := rename[ref]; ok {
				c.Paths[i].References[j] = to
			}
		}
	}
	return c
}

func TestCompareClosures(t *testing.T) {
	d := Compare(explained(small(), 4).Contents(), explained(upgraded(), 4).Contents())
	want := Difference{
		Layers: LayerDifference{Old: Amount{4, 1228e5}, New: Amount{4, 1228e5}, Shared: Amount{1, 30e6}, Added: Amount{3, 928e5}, Removed: Amount{3, 928e5}},
		Paths: PathDifference{
			Known: true, Shared: 2,
			Updated: []Update{
				{"app", "1.0", "1.1", storePath(0, "app-1.0"), storePath(10, "app-1.1")},
				{"expat", "2.6", "2.7", storePath(3, "expat-2.6"), storePath(13, "expat-2.7")},
			},
			Rebuilt: []Update{{"python3", "3.11.2", "3.11.2", storePath(1, "python3-3.11.2"), storePath(11, "python3-3.11.2")}},
			Added:   []nixbuild.StorePath{storePath(12, "xz-5.4")},
			Removed: []nixbuild.StorePath{storePath(2, "zlib-1.3")},
		},
	}
	if diff := gocmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
	for format, write := range map[string]func(io.Writer, []Difference) error{"txt": WriteDifferences, "json": WriteDifferencesJSON} {
		var got bytes.Buffer
		if err := write(&got, []Difference{d}); err != nil {
			t.Fatal(err)
		}
		golden(t, "difference."+format, got.Bytes())
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
			c.Layers = append(c.Layers, Content{ID: name, Paths: []nixbuild.StorePath{storePath(from+i, name)}})
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
			got = append(got, u.OldVersion+">"+u.NewVersion)
		}
		for _, u := range d.Rebuilt {
			got = append(got, "="+u.NewVersion)
		}
		for _, p := range d.Added {
			got = append(got, "+"+versionOf(p, shortName(p)))
		}
		for _, p := range d.Removed {
			got = append(got, "-"+versionOf(p, shortName(p)))
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
		{ID: "sha256:aa", Size: 5, Paths: []nixbuild.StorePath{a, b}},
		{ID: "sha256:bb", Size: 6, Paths: []nixbuild.StorePath{c}},
		{ID: "sha256:cc", Size: 7},
	}, Sizes: map[nixbuild.StorePath]int64{a: 12}, Packages: []image.Package{{Name: "alpha", Path: a}}}
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
	if err := WriteDifferences(&b2, []Difference{Compare(foreign, got)}); err != nil || !strings.Contains(b2.String(), "not known") {
		t.Errorf("got %s, %v", b2.String(), err)
	}
}

package layers

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/org/nixery-action/internal/layers/layerstest"
	"github.com/org/nixery-action/internal/nix"
)

// list unpacks a layer into lines: "mode name -> link" or "mode name: text".
func list(t *testing.T, layer *Layer) []string {
	t.Helper()
	var lines []string
	for tr := tar.NewReader(bytes.NewReader(readAll(t, layer.Uncompressed))); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprintf("%04o %s", h.Mode, h.Name)
		if h.Typeflag == tar.TypeSymlink {
			line += " -> " + h.Linkname
		} else if h.Typeflag == tar.TypeReg {
			content, _ := io.ReadAll(tr)
			first, _, _ := strings.Cut(string(content), "\n")
			line += ": " + first
		}
		lines = append(lines, line)
	}
}

// in names a file of a store path as fs.FS does.
func in(p nix.StorePath, rest string) string { return string(p[1:]) + rest }

func link(target string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
}

func file() *fstest.MapFile { return &fstest.MapFile{Mode: 0o555} }

func root(t *testing.T, store fstest.MapFS, packages ...nix.StorePath) *Layer {
	t.Helper()
	return newPacker(t, store, DefaultCompression, false).Root(packages, nix.Closure{}, nil)
}

func TestRootOfNothingHasTheSystem(t *testing.T) {
	want := []string{
		"0555 etc/", "0444 etc/group: root:x:0:", "0444 etc/nsswitch.conf: passwd: files",
		"0444 etc/passwd: root:x:0:0:root:/root:/bin/sh", "0700 root/", "1777 tmp/",
	}
	if diff := gocmp.Diff(want, list(t, root(t, fstest.MapFS{}))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRootLinksPackages(t *testing.T) {
	a, b := layerstest.Path("a-1", 1), layerstest.Path("b-1", 2)
	s := fstest.MapFS{
		in(a, "/bin/env"):         file(),
		in(a, "/bin/sh"):          link("env"),
		in(a, "/bin/both"):        file(),
		in(a, "/etc/passwd"):      file(),
		in(a, "/share/only/deep"): file(),
		in(a, "/empty"):           &fstest.MapFile{Mode: fs.ModeDir | 0o755},
		in(b, "/bin/both"):        file(),
		in(b, "/bin/b"):           file(),
		in(b, "/tmp/left"):        file(),
	}
	want := []string{
		"0555 bin/", "0777 bin/b -> " + string(b) + "/bin/b", "0777 bin/both -> " + string(a) + "/bin/both",
		"0777 bin/env -> " + string(a) + "/bin/env", "0777 bin/sh -> " + string(a) + "/bin/sh",
		"0555 empty/",
		"0555 etc/", "0444 etc/group: root:x:0:", "0444 etc/nsswitch.conf: passwd: files",
		"0777 etc/passwd -> " + string(a) + "/etc/passwd",
		"0700 root/",
		"0555 share/", "0555 share/only/", "0777 share/only/deep -> " + string(a) + "/share/only/deep",
		"1777 tmp/", "0777 tmp/left -> " + string(b) + "/tmp/left",
		"0555 usr/", "0555 usr/bin/", "0777 usr/bin/env -> " + string(a) + "/bin/env",
	}
	for _, order := range [][]nix.StorePath{{a, b}, {b, a}, {b, a, b}} {
		if diff := gocmp.Diff(want, list(t, root(t, s, order...))); diff != "" {
			t.Errorf("packages %v (-want +got):\n%s", order, diff)
		}
	}
}

func TestRootMergesADirectoryWithALinkToOne(t *testing.T) {
	a, b := layerstest.Path("a-1", 1), layerstest.Path("b-1", 2)
	s := fstest.MapFS{
		in(a, "/lib/x"):   file(),
		in(a, "/lib64"):   link("lib"),
		in(b, "/lib64/y"): file(),
	}
	want := []string{"0777 lib64/x -> " + string(a) + "/lib64/x", "0777 lib64/y -> " + string(b) + "/lib64/y"}
	swapped := []string{"0777 lib64/x -> " + string(b) + "/lib64/x", "0777 lib64/y -> " + string(a) + "/lib64/y"}
	only := func(lines []string) []string {
		return slices.DeleteFunc(lines, func(l string) bool { return !strings.Contains(l, " lib64/") || strings.HasSuffix(l, "lib64/") })
	}
	if diff := gocmp.Diff(want, only(list(t, root(t, s, a, b)))); diff != "" {
		t.Errorf("link first (-want +got):\n%s", diff)
	}
	s = fstest.MapFS{in(a, "/lib64/y"): file(), in(b, "/lib/x"): file(), in(b, "/lib64"): link("lib")}
	if diff := gocmp.Diff(swapped, only(list(t, root(t, s, a, b)))); diff != "" {
		t.Errorf("directory first (-want +got):\n%s", diff)
	}
}

func TestRootEndsOnLinksInACircle(t *testing.T) {
	a, b := layerstest.Path("a-1", 1), layerstest.Path("b-1", 2)
	s := fstest.MapFS{
		in(a, "/x/y"): link("../x"), in(a, "/f"): file(),
		in(b, "/x/y/x/y/x/z"): file(), in(b, "/f/g"): file(),
	}
	if lines := list(t, root(t, s, a, b)); len(lines) > 200 {
		t.Errorf("%d entries", len(lines))
	}
}

func TestRootTakesAPackageThatIsAFile(t *testing.T) {
	a := layerstest.Path("notes.txt", 1)
	if lines := list(t, root(t, fstest.MapFS{string(a[1:]): file()}, a)); len(lines) != 6 {
		t.Errorf("got %q", lines)
	}
}

func TestRootOfAMissingPackage(t *testing.T) {
	if err := root(t, fstest.MapFS{}, appPath).Measure(); err == nil || !strings.Contains(err.Error(), "linking packages") {
		t.Errorf("got %v", err)
	}
}

// TestRootBytes holds the digest of a root layer; see TestBytes.
func TestRootBytes(t *testing.T) {
	layer := root(t, store(), appPath, libPath)
	if err := layer.Measure(); err != nil {
		t.Fatal(err)
	}
	if got, _ := layer.Record(); got != goldenRoot {
		t.Errorf("got %+v", got)
	}
}

func TestRootKeyCoversTheClosure(t *testing.T) {
	p := newPacker(t, store(), DefaultCompression, false)
	one := nix.Closure{Paths: groupOf(appPath, libPath)}
	two := nix.Closure{Paths: groupOf(libPath, appPath)}
	pkgs := []nix.StorePath{appPath}
	keys := []Key{
		p.Root(pkgs, one, nil).Key(),
		p.Root(pkgs, two, nil).Key(), // the same paths, other NAR hashes
		p.Root([]nix.StorePath{appPath, libPath}, one, nil).Key(),
	}
	slices.Sort(keys)
	if len(slices.Compact(keys)) != 3 {
		t.Error("two of three different root layers share a key")
	}
	if p.Root([]nix.StorePath{libPath, appPath}, one, nil).Key() != p.Root([]nix.StorePath{appPath, libPath}, one, nil).Key() {
		t.Error("the order of packages changes the key")
	}
}

package layers

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/org/nixery-action/internal/layers/layerstest"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/nixbuild"
)

// host is what a machine has beside a closure. fstest.MapFS follows links through it, as a kernel does.
func host(stranger nix.StorePath) fstest.MapFS {
	f := fstest.MapFS{}
	for _, name := range []string{
		"run/HOST", "run/app/HOST", "etc/HOST", "etc/ssl/HOST", "HOST/x", "nix/var/HOST/x", "nix/store/.links/HOST",
		"nix/store/.links/lib/HOST", string(stranger[1:]) + "/HOST", string(stranger[1:]) + "/lib/HOST",
	} {
		f[name] = file()
	}
	// By way of the machine and back again is out of the store, too.
	f["etc/back"], f[string(stranger[1:])+"/back"] = link(string(pkgDep)+"/lib"), link(string(pkgDep)+"/lib")
	return f
}

func with(a, b fstest.MapFS) fstest.MapFS {
	both := fstest.MapFS{}
	for _, m := range []fstest.MapFS{a, b} {
		for name, f := range m {
			both[name] = f
		}
	}
	return both
}

var (
	pkgA, pkgB, pkgDep = layerstest.Path("a-1", 1), layerstest.Path("b-1", 2), layerstest.Path("dep-1", 3)
	pkgStranger        = layerstest.Path("stranger-1", 4)
)

func closureOf(paths ...nix.StorePath) nix.Closure {
	return nix.Closure{Paths: groupOf(paths...)}
}

// A link of a package meets a directory of another, and the directory that it leads to is
// of the closure or of the machine.
func TestRootFollowsLinksWithinTheClosureOnly(t *testing.T) {
	dep := string(pkgDep)
	for target, followed := range map[string]bool{
		"/run": false, "/etc": false, "/": false, "/nix": false, "/nix/store": false, "/nix/store/": false, "/etc/back": false, string(pkgStranger) + "/back": false, "//nix//store/./": false,
		"/nix/store/.links": false, "/nix/store/.links/lib": false, "/nix/var/HOST": false, "/nix/store/../../etc": false,
		"/nix/store/../var/HOST": false, dep + "/../../../etc": false, "../../../../run": false, "../../../../../../../etc": false,
		"../..": false, "../../..": false, string(pkgStranger) + "/lib": false, string(pkgStranger): false, "../../" + path.Base(string(pkgStranger)): false,
		dep + "/out": false, dep + "/out/app": false, dep + "/chain": false, dep + "/chain/ssl": false, dep + "/loop": false, dep + "/loop/lib": false,
		dep + "/up/run": false, dep + "/file": false, dep + "/file/.": false, dep + "/file/../lib": false, dep + "/none/../lib": false, dep + "/out/../nix/store": false,
		dep + "/" + strings.Repeat("x", 300): false, "": false, "self": false,
		dep + "/lib": true, "/" + dep + "//lib/": true, "/nix/./store/../store/" + path.Base(dep) + "/lib": true, "../../" + path.Base(dep) + "/lib": true,
		dep + "/via": true, dep + "/via/.": true, dep + "/twice": true, dep + "/back/../lib": true, dep + "/all/lib": true,
	} {
		store := fstest.MapFS{
			in(pkgA, "/var/self"): link(target), in(pkgB, "/var/self/app"): file(),
			in(pkgDep, "/lib/good"): file(), in(pkgDep, "/file"): file(),
			in(pkgDep, "/out"): link("/run"), in(pkgDep, "/chain"): link("hop"), in(pkgDep, "/hop"): link("/etc"),
			in(pkgDep, "/loop"): link("pool"), in(pkgDep, "/pool"): link("loop"), in(pkgDep, "/up"): link("../../.."),
			in(pkgDep, "/via"): link("lib"), in(pkgDep, "/twice"): link(dep + "/via"), in(pkgDep, "/back"): link("lib"), in(pkgDep, "/all"): link("/nix/store/" + path.Base(dep)),
		}
		for _, first := range []string{"link", "directory"} {
			packages := []nix.StorePath{pkgA, pkgB}
			if first == "directory" { // the same with the names changed about
				store[in(pkgB, "/var/self")], store[in(pkgA, "/var/self/app")] = store[in(pkgA, "/var/self")], file()
				delete(store, in(pkgA, "/var/self"))
				delete(store, in(pkgB, "/var/self/app"))
			}
			layer := newPacker(t, with(store, host(pkgStranger)), DefaultCompression, false).Root(packages, closureOf(pkgA, pkgB, pkgDep), nil)
			lines := strings.Join(list(t, layer), "\n")
			if strings.Contains(lines, "HOST") {
				t.Errorf("a link to %q, %s first: the machine is listed:\n%s", target, first, lines)
			}
			if got := strings.Contains(lines, "var/self/good"); got != followed {
				t.Errorf("a link to %q, %s first: followed is %v, want %v:\n%s", target, first, got, followed, lines)
			}
		}
	}
}

// A package may be nothing but a link.
func TestRootOfAPackageThatIsALink(t *testing.T) {
	for target, want := range map[string]string{"/run": "", "/nix/store": "", "/": "", string(pkgStranger): "", string(pkgDep): "good"} {
		store := fstest.MapFS{string(pkgA[1:]): link(target), in(pkgDep, "/good"): file()}
		layer := newPacker(t, with(store, host(pkgStranger)), DefaultCompression, false).Root([]nix.StorePath{pkgA}, closureOf(pkgA, pkgDep), nil)
		lines := strings.Join(list(t, layer), "\n")
		if strings.Contains(lines, "HOST") || want != "" && !strings.Contains(lines, want+" -> "+string(pkgA)+"/"+want) {
			t.Errorf("a link to %q:\n%s", target, lines)
		}
	}
}

// wood makes random packages, and a path that they refer to.
type wood struct {
	rng   *rand.Rand
	store fstest.MapFS
}

func (w wood) pick(all ...string) string { return all[w.rng.IntN(len(all))] }

func (w wood) name() string { return w.pick("bin", "lib", "lib64", "run", "app") }

func (w wood) target() string {
	other := w.pick(string(pkgA), string(pkgB), string(pkgDep))
	return w.pick(
		w.name(), w.name(), w.name()+"/"+w.name(), "../"+w.name(), "../"+w.name()+"/"+w.name(), ".", "..", "../..", "../../..",
		other, other+"/"+w.name(), other+"/"+w.name()+"/"+w.name(), other+"/"+w.name()+"/../"+w.name(),
		"../"+path.Base(other)+"/"+w.name(), "../../"+path.Base(other)+"/"+w.name(), "/nix/store/../store/"+path.Base(other)+"/"+w.name(),
		string(pkgStranger), string(pkgStranger)+"/lib", string(pkgStranger)+"/back", "/etc/back", "/run", "/run/app", "/etc", "/etc/ssl", "/", "/nix", "/nix/store", "/nix/store/.links/lib",
		"/nix/store/../../etc", "../../../../run", "../../../../../etc/ssl", "/nix/var/HOST", "/none",
	)
}

func (w wood) grow(at string, depth int) {
	w.store[at] = &fstest.MapFile{Mode: fs.ModeDir | 0o555}
	for range w.rng.IntN(5) {
		name := at + "/" + w.name()
		switch _, taken := w.store[name]; {
		case taken:
		case w.rng.IntN(3) == 0:
			w.store[name] = link(w.target())
		case depth > 0 && w.rng.IntN(2) == 0:
			w.grow(name, depth-1)
		default:
			w.store[name] = file()
		}
	}
}

// naive is the root layer's tree, written for reading: full names to "/" for a directory, or where a link leads.
type naive struct {
	store fstest.MapFS
	tree  map[string]string
}

// canon is the plain name of what a name means within the closure, or "".
func (n naive) canon(name string, fuel int) string {
	if fuel == 0 {
		return ""
	}
	if name == "/" || name == "." || name == "" {
		return "/"
	}
	name = strings.TrimRight(name, "/")
	parent, last := n.canon(name[:strings.LastIndex(name, "/")+1], fuel-1), path.Base(name[strings.LastIndex(name, "/"):])
	if parent == "" || !n.isDir(parent) {
		return ""
	}
	switch last {
	case ".":
		return parent
	case "..":
		return path.Dir(parent)
	}
	whole := path.Join(parent, last)
	f, ok := n.store[whole[1:]]
	switch {
	case whole == "/nix" || whole == "/nix/store":
		return whole
	case !ok:
		return ""
	case f.Mode&fs.ModeSymlink == 0:
		return whole
	case path.IsAbs(string(f.Data)):
		return n.canon(string(f.Data), fuel-1)
	}
	return n.canon(parent+"/"+string(f.Data), fuel-1)
}

func (n naive) isDir(canonical string) bool {
	if canonical == "/" || canonical == "/nix" || canonical == "/nix/store" {
		return true
	}
	f, ok := n.store[canonical[1:]]
	return ok && f.Mode.IsDir()
}

// dirOf is the directory of a store path that a name means, or "".
func (n naive) dirOf(name string) string {
	c := n.canon(name, 400)
	if c == "" || !n.isDir(c) || !strings.HasPrefix(c, "/nix/store/") {
		return ""
	}
	return c
}

func (n naive) merge(at, from string, links int) {
	dir := n.dirOf(from)
	var children []string
	for name := range n.store {
		if dir != "" && path.Dir("/"+name) == dir {
			children = append(children, path.Base(name))
		}
	}
	slices.Sort(children)
	for _, child := range children {
		to, source := at+"/"+child, from+"/"+child
		there, taken := n.tree[to]
		if n.store[(dir + "/" + child)[1:]].Mode.IsDir() {
			if taken && there != "/" && links < maxLinkDepth && n.dirOf(there) != "" {
				n.tree[to] = "/"
				n.merge(to, there, links+1)
			}
			if now, taken := n.tree[to]; !taken || now == "/" {
				n.tree[to] = "/"
				n.merge(to, source, links)
			}
			continue
		}
		if !taken {
			n.tree[to] = source
		} else if there == "/" && links < maxLinkDepth && n.dirOf(source) != "" {
			n.merge(to, source, links+1)
		}
	}
}

// For any packages, the root layer is that of the rules, and no file of the machine changes a byte of it; from
// memory and from a disk alike.
func TestRootOfRandomLinks(t *testing.T) {
	for seed := range uint64(800) {
		w := wood{rand.New(rand.NewPCG(seed, 3)), fstest.MapFS{}}
		for _, p := range []nix.StorePath{pkgA, pkgB, pkgDep} {
			w.grow(string(p[1:]), 2)
		}
		n := naive{w.store, map[string]string{}}
		for _, p := range []nix.StorePath{pkgA, pkgB} {
			n.merge("", string(p), 0)
		}
		stores := map[string]fs.FS{"alone": w.store, "on a machine": with(w.store, host(pkgStranger))}
		if seed%10 == 0 {
			stores["on disk"] = onDisk(t, with(w.store, host(pkgStranger)))
		}
		for where, store := range stores {
			got := map[string]string{}
			root, err := linkPackages(newStoreTree(store, []nix.StorePath{pkgA, pkgB}, closureOf(pkgA, pkgB, pkgDep)), []nix.StorePath{pkgA, pkgB}, nil)
			if err != nil {
				t.Fatalf("seed %d, %s: %v", seed, where, err)
			}
			root.entries(func(e Entry, _ error) bool {
				got["/"+e.Name] = e.Link
				if e.Mode.IsDir() {
					got["/"+e.Name] = "/"
				}
				return true
			})
			for name := range got {
				if strings.Contains(name, "HOST") {
					t.Errorf("seed %d, %s: %s is of the machine", seed, where, name)
				}
			}
			for _, system := range []string{"/tmp", "/root", "/etc", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf"} {
				delete(got, system)
			}
			if diff := gocmp.Diff(n.tree, got); diff != "" {
				t.Fatalf("seed %d, %s (-want +got):\n%s\n%s", seed, where, diff, describeStore(w.store))
			}
		}
	}
}

func onDisk(t *testing.T, files fstest.MapFS) fs.FS {
	t.Helper()
	dir := t.TempDir()
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range files {
			if !yield(name) {
				return
			}
		}
	}) {
		f, at := files[name], filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		switch {
		case err != nil:
		case f.Mode.IsDir():
			err = os.MkdirAll(at, 0o755)
		case f.Mode&fs.ModeSymlink != 0:
			err = os.Symlink(string(f.Data), at)
		default:
			err = os.WriteFile(at, f.Data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return nixbuild.NewStore(filepath.Join(dir, nix.StoreDir))
}

func describeStore(files fstest.MapFS) string {
	var lines []string
	for name, f := range files {
		lines = append(lines, fmt.Sprintf("%s %v %s", name, f.Mode, f.Data))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

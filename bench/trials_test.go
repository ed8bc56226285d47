package bench

import (
	"slices"
	"testing"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/popularity"
)

const (
	appChanged     = "app changed"
	libraryChanged = "library changed"
	bump           = "bump"
	packageAdded   = "package added"
	packageRemoved = "package removed"
	fleet          = "fleet"
)

// kinds are the rows of the benchmark. All but the fleet are rebuilds.
var kinds = []string{appChanged, libraryChanged, bump, packageAdded, packageRemoved, fleet}

// trial is an image, or a fleet, and something that happens to it. The bytes of
// all that may happen are summed up before they are compared with the ideal, so
// its ratio is that of the expected bytes.
type trial struct {
	kind, set, image string
	cost             func(*planner) cost
	ideal            int64 // bytes of the store paths that are new
	kept             int64 // where none are new: bytes that stay, added to either side
}

func (t trial) ratio(bytes int64) float64 { return float64(t.kept+bytes) / float64(t.kept+t.ideal) }

// planner remembers the plans of one strategy, since an image is in many trials.
type planner struct {
	plan  planFunc
	opts  layers.Options
	plans map[*subject]planned
}

type planned struct {
	groups []layers.Group
	layers []layer
}

func newPlanner(s strategy, budget int) *planner {
	return &planner{s.plan, layers.Options{Budget: budget, Counts: popularity.Embedded()}, map[*subject]planned{}}
}

func (p *planner) of(image *subject) planned {
	known, ok := p.plans[image]
	if !ok {
		groups := p.plan(image.closure, p.opts)
		known = planned{groups, identify(groups)}
		p.plans[image] = known
	}
	return known
}

// change is one image in the place of another.
type change struct{ before, now *subject }

func (c change) ideal() int64 {
	return distinct(c.before.closure, c.now.closure) - distinct(c.before.closure)
}

// changeTrial is the trial in which any one of changes happens, each as likely.
func changeTrial(kind, set, image string, changes []change) trial {
	t := trial{kind: kind, set: set, image: image}
	for _, c := range changes {
		t.ideal += c.ideal()
		if kind == packageRemoved {
			t.kept += distinct(c.now.closure)
		}
	}
	t.cost = func(p *planner) (sum cost) {
		for _, c := range changes {
			sum.add(updateCost(p.of(c.before).layers, p.of(c.now).layers))
		}
		return sum
	}
	return t
}

// cascadeTrial is the trial in which any one of nodes changes, each as likely.
func cascadeTrial(kind, set string, image *subject, nodes []int) trial {
	t := trial{kind: kind, set: set, image: image.name}
	for _, n := range nodes {
		t.ideal += image.cascadeIdeal(n)
	}
	t.cost = func(p *planner) (sum cost) {
		groups := image.place(p.of(image).groups)
		for _, n := range nodes {
			sum.add(image.cascadeCost(groups, n))
		}
		return sum
	}
	return t
}

// fleetTrial is any one of fleets, each as likely.
func fleetTrial(set, image string, fleets ...[]*subject) trial {
	t := trial{kind: fleet, set: set, image: image}
	for _, images := range fleets {
		closures := make([]nix.Closure, len(images))
		for i, image := range images {
			closures[i] = image.closure
		}
		t.ideal += distinct(closures...)
	}
	t.cost = func(p *planner) (sum cost) {
		for _, images := range fleets {
			stacks := make([][]layer, len(images))
			for i, image := range images {
				stacks[i] = p.of(image).layers
			}
			sum.add(fleetCost(stacks...))
		}
		return sum
	}
	return t
}

// cascadeTrials change the application and the libraries of one image. More than
// 200 libraries would say no more, and a closure of 20,000 paths take hours.
func cascadeTrials(set string, image *subject) []trial {
	var apps, libraries []int
	for i, n := range image.graph.nodes {
		if n.referrers == 0 {
			apps = append(apps, i)
		} else {
			libraries = append(libraries, i)
		}
	}
	return []trial{
		cascadeTrial(appChanged, set, image, apps),
		cascadeTrial(libraryChanged, set, image, evenly(libraries, 200)),
	}
}

// packageTrials add each of packages to an image that lacks it, or else take it
// away; and each step the other way round.
func packageTrials(t testing.TB, set *imageSet, image *subject, packages []nix.StorePath) []trial {
	var adds, removes []change
	for _, p := range packages {
		less, more := image, image
		roots := slices.Clone(image.closure.Roots)
		if at, has := slices.BinarySearch(roots, p); !has {
			more = set.image(t, "", append(roots, p))
		} else if len(roots) > 1 {
			less = set.image(t, "", slices.Delete(roots, at, at+1))
		}
		if add := (change{less, more}); add.ideal() > 0 {
			adds = append(adds, add)
			removes = append(removes, change{more, less})
		}
	}
	return []trial{
		changeTrial(packageAdded, set.name, image.name, adds),
		changeTrial(packageRemoved, set.name, image.name, removes),
	}
}

// setTrials are all that one set of images gives.
func setTrials(t testing.TB, set *imageSet) []trial {
	var trials []trial
	packages := set.packages(10)
	for _, image := range set.images {
		trials = append(trials, cascadeTrials(set.name, image)...)
		trials = append(trials, packageTrials(t, set, image, packages)...)
	}
	if len(set.images) > 1 {
		trials = append(trials, fleetTrial(set.name, "all", set.images))
		trials = append(trials, pairTrials(set)...)
	}
	return trials
}

// pairTrials: each image beside each other one.
func pairTrials(set *imageSet) []trial {
	var trials []trial
	for _, image := range set.images {
		var pairs [][]*subject
		for _, other := range set.images {
			if other != image {
				pairs = append(pairs, []*subject{image, other})
			}
		}
		trials = append(trials, fleetTrial(set.name, image.name, pairs...))
	}
	return trials
}

// bumpTrials put newer images in the place of those of the same names, or the
// only one in the place of the only one; and let both live side by side.
func bumpTrials(set string, before, now *imageSet) []trial {
	var trials []trial
	for _, old := range before.images {
		for _, recent := range now.images {
			same := old.name == recent.name || len(before.images) == 1 && len(now.images) == 1
			if same {
				trials = append(trials, changeTrial(bump, set, recent.name, []change{{old, recent}}))
			}
		}
	}
	return append(trials, fleetTrial(set, "before and after the bump", slices.Concat(before.images, now.images)))
}

func sharePaths(a, b *imageSet) bool {
	paths := map[nix.StorePath]bool{}
	for _, info := range a.infos {
		paths[info.Path] = true
	}
	return slices.ContainsFunc(b.infos, func(info nix.PathInfo) bool { return paths[info.Path] })
}

// keptTrials are those of the closures in testdata: bookworm, 18 images of real
// dependencies and sizes, and debpkgs-big, one image of 49 packages for each of
// some suites. The security updates are the other end of the bumps; all else in
// them would only repeat what they update.
func keptTrials(t testing.TB) []trial {
	bookworm, security := readKept(t, "bookworm"), readKept(t, "bookworm-security")
	trials := append(setTrials(t, bookworm), bumpTrials(bookworm.name, bookworm, security)...)
	const debpkgs = "debpkgs-big"
	for _, suite := range []string{"bookworm-amd64", "bookworm-arm64", "trixie-amd64", "trixie-arm64"} {
		set := readKept(t, debpkgs+"-"+suite)
		set.name, set.images[0].name = debpkgs, suite
		trials = append(trials, setTrials(t, set)...)
	}
	return append(trials, bumpTrials(debpkgs, readKept(t, debpkgs+"-bookworm-amd64"), readKept(t, debpkgs+"-bookworm+security-amd64"))...)
}

func readKept(t testing.TB, name string) *imageSet {
	return readImages(t, "../testdata/closures/"+name+".json.gz")
}

// largeTrials are those of images of hundreds of paths: the images of bookworm
// merged in thirds, and all in one.
func largeTrials(t testing.TB) []trial {
	before, now := readKept(t, "bookworm"), readKept(t, "bookworm-security")
	for _, set := range []*imageSet{before, now} {
		large := []*subject{set.merged(t, "all", func(int) bool { return true })}
		for third, name := range []string{"first third", "second third", "last third"} {
			large = append(large, set.merged(t, name, func(i int) bool { return i%3 == third }))
		}
		set.name, set.images = "bookworm, merged", large
	}
	return append(setTrials(t, before), bumpTrials(before.name, before, now)...)
}

// givenTrials are those of any closures. One that shares paths with the one
// before it is a bump.
func givenTrials(t testing.TB, files []string) []trial {
	var trials []trial
	var last *imageSet
	for _, file := range files {
		set := readImages(t, file)
		trials = append(trials, setTrials(t, set)...)
		if last != nil && sharePaths(last, set) {
			trials = append(trials, bumpTrials(set.name, last, set)...)
		}
		last = set
	}
	return trials
}

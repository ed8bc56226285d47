package serve

import (
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/serve/route"
)

// notServed is the answer for a package that the settings do not allow.
func notServed(pkg string) *apiError {
	return &apiError{status: http.StatusForbidden, code: denied, message: "this registry does not serve the package " + pkg}
}

// readName reads a name, and refuses what the settings refuse before any work is done.
func (s *Server) readName(name string) (route.Name, error) {
	n, err := route.ParseName(name)
	if err != nil {
		return n, notFound(nameInvalid, err.Error())
	}
	if count := len(n.Packages()); count > s.options.Packages {
		return n, notFound(nameInvalid, fmt.Sprintf("a name has at most %d packages here, and this one has %d", s.options.Packages, count))
	}
	if _, pkg := n.Allowed(s.options.Allow); pkg != "" {
		return n, notServed(pkg)
	}
	return n, nil
}

// respelled has the packages of a query that are spelled otherwise than --allow spells them, and how it does.
func (s *Server) respelled(q query) map[string][]string {
	n, err := route.ParseName(q.image)
	if err != nil {
		return nil // and it does not come to a build
	}
	plain, _ := n.Allowed(s.options.Allow)
	return plain
}

// requireSamePackages makes a line compare such packages with those that --allow names: a package is looked up by other rules than a name is matched
// by, and GIT may be another one than git.
func requireSamePackages(line *build.Line, alike map[string][]string) {
	if len(alike) == 0 {
		return
	}
	for _, pkg := range slices.Sorted(maps.Keys(alike)) {
		line.Beside = append(line.Beside, alike[pkg]...)
	}
	line.Approve = func(evaluated []nixbuild.Package) error { return approve(evaluated, alike) }
}

func approve(evaluated []nixbuild.Package, alike map[string][]string) error {
	for _, p := range evaluated {
		names, asked := alike[p.Name]
		same := func(other nixbuild.Package) bool {
			return slices.Contains(names, other.Name) && other.System == p.System && other.Drv == p.Drv && other.Output == p.Output
		}
		if asked && !slices.ContainsFunc(evaluated, same) {
			return notServed(p.Name)
		}
	}
	return nil
}

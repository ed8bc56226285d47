package cache

import "testing"

// Sites are the places that the contract, which is in a package of its own, is run against. Registries and act let several jobs save
// one name at once.
func Sites() map[string]func(*testing.T) (open func() Store, reserves bool) {
	all := map[string]func(*testing.T) (func() Store, bool){}
	for name, newSite := range sites {
		all[name] = func(t *testing.T) (func() Store, bool) { return newSite(t).open, name != "registry" && name != "v1" }
	}
	return all
}

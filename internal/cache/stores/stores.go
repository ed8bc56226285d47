package stores

import (
	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/cache/actions"
	"github.com/org/nixery-action/internal/cache/dir"
	"github.com/org/nixery-action/internal/cache/oci"
)

// Options say how to reach the stores of locations.
type Options struct {
	Getenv   func(string) string // for the GitHub Actions cache; nil means an empty environment
	Actions  actions.Options
	Registry oci.Options
}

// Places opens the stores of locations. Locations that mean the same have one store.
func Places(from, to []cache.Location, o Options) (read, write []cache.Place, err error) {
	m := opener{o, map[cache.Location]cache.Store{}}
	if read, err = m.places(from); err != nil {
		return nil, nil, err
	}
	write, err = m.places(to)
	return read, write, err
}

type opener struct {
	Options
	opened map[cache.Location]cache.Store // by what makes a store
}

func (m opener) places(locations []cache.Location) ([]cache.Place, error) {
	var places []cache.Place
	for _, l := range locations {
		store, err := m.store(cache.Location{Type: l.Type, Path: l.Path, Ref: l.Ref})
		if err != nil {
			return nil, err
		}
		places = append(places, cache.Place{Store: store, Scope: l.Scope, Mode: l.Mode})
	}
	return places, nil
}

func (m opener) store(l cache.Location) (cache.Store, error) {
	if store, ok := m.opened[l]; ok {
		return store, nil
	}
	store, err := m.make(l)
	if err == nil {
		m.opened[l] = store
	}
	return store, err
}

func (m opener) make(l cache.Location) (cache.Store, error) {
	switch l.Type {
	case cache.Local:
		return dir.New(l.Path), nil
	case cache.InOCI:
		return oci.New(l.Ref, m.Registry)
	}
	if m.Getenv == nil {
		m.Getenv = func(string) string { return "" }
	}
	return actions.FromEnvironment(m.Getenv, m.Actions), nil
}

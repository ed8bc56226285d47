package cache

// Options say how to reach the stores of locations.
type Options struct {
	Getenv   func(string) string // for the GitHub Actions cache; nil means an empty environment
	Actions  ActionsOptions
	Registry RegistryOptions
}

// Places makes the stores of locations. Locations that mean the same have one store.
func Places(from, to []Location, o Options) (read, write []Place, err error) {
	m := maker{o, map[Location]Store{}}
	if read, err = m.places(from); err != nil {
		return nil, nil, err
	}
	write, err = m.places(to)
	return read, write, err
}

type maker struct {
	Options
	made map[Location]Store // by what makes a store
}

func (m maker) places(locations []Location) ([]Place, error) {
	var places []Place
	for _, l := range locations {
		store, err := m.store(Location{Type: l.Type, Path: l.Path, Ref: l.Ref})
		if err != nil {
			return nil, err
		}
		places = append(places, Place{store, l.Scope, l.Mode})
	}
	return places, nil
}

func (m maker) store(l Location) (Store, error) {
	if store, ok := m.made[l]; ok {
		return store, nil
	}
	store, err := m.make(l)
	if err == nil {
		m.made[l] = store
	}
	return store, err
}

func (m maker) make(l Location) (Store, error) {
	switch l.Type {
	case Local:
		return NewFolder(l.Path), nil
	case InOCI:
		return NewRegistry(l.Ref, m.Registry)
	}
	if m.Getenv == nil {
		m.Getenv = func(string) string { return "" }
	}
	return FromEnvironment(m.Getenv, m.Actions), nil
}

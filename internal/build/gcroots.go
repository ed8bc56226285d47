package build

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/scratch"
)

// gcRoots realises the packages of a run, once, when they are first needed, and
// keeps them from the garbage collector by links until release.
type gcRoots struct {
	builder  *Builder
	packages []nixbuild.Package

	once sync.Once
	err  error
	temp *scratch.Dir
}

// realise builds or fetches all packages in one run of Nix. Only the first call
// does so; all calls return its error.
func (g *gcRoots) realise(ctx context.Context) error {
	g.once.Do(func() {
		stage := g.builder.begin("realising")
		g.builder.NixProgress(nixbuild.Progress{}) // so that the stage shows counts, not Nix's lines
		if g.temp, g.err = scratch.NewDir(g.builder.TempDir); g.err != nil {
			g.err = fmt.Errorf("garbage collector roots: %w", g.err)
			return
		}
		g.err = nixbuild.Realise(ctx, g.builder.Runner, g.packages, filepath.Join(g.temp.Path(), "roots"))
		if g.err == nil {
			stage.Done(g.builder.realised(len(g.packages)))
		}
	})
	return g.err
}

func (g *gcRoots) paths() []nix.StorePath { return outputs(g.packages) }

func (g *gcRoots) release() {
	if g.temp != nil {
		_ = g.temp.Close()
	}
}

// lazyStore calls ready before the first read of the store. Layers with a cached
// record are not read, and so need no package on this machine.
type lazyStore struct {
	store fs.FS
	ready func() error
}

var _ fs.ReadLinkFS = lazyStore{}

// Open implements [fs.FS].
func (s lazyStore) Open(name string) (fs.File, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	return s.store.Open(name)
}

// Lstat implements [fs.ReadLinkFS].
func (s lazyStore) Lstat(name string) (fs.FileInfo, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	return fs.Lstat(s.store, name)
}

// ReadLink implements [fs.ReadLinkFS].
func (s lazyStore) ReadLink(name string) (string, error) {
	if err := s.ready(); err != nil {
		return "", err
	}
	return fs.ReadLink(s.store, name)
}

// ReadDir implements [fs.ReadDirFS].
func (s lazyStore) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	return fs.ReadDir(s.store, name)
}

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

// hold makes the packages of a run exist, once, when somebody needs them, and
// keeps them from the garbage collector until it is released.
type gcRoots struct {
	line     *Builder
	packages []nixbuild.Package

	once sync.Once
	err  error
	temp *scratch.Dir
}

// realise builds or fetches all packages in one run of Nix. Only the first call
// does anything; the others wait for it and say what it said.
func (h *gcRoots) realise(ctx context.Context) error {
	h.once.Do(func() { h.err = h.realiseNow(ctx) })
	return h.err
}

func (h *gcRoots) realiseNow(ctx context.Context) error {
	stage := h.line.begin("realising")
	h.line.NixProgress(nixbuild.Progress{}) // what Nix announces in lines it soon counts
	var err error
	if h.temp, err = scratch.NewDir(h.line.TempDir); err != nil {
		return fmt.Errorf("garbage collector roots: %w", err)
	}
	if err := nixbuild.Realise(ctx, h.line.Runner, h.packages, filepath.Join(h.temp.Path(), "roots")); err != nil {
		return err
	}
	stage.Done(h.line.realised(len(h.packages)))
	return nil
}

func (h *gcRoots) roots() []nix.StorePath {
	roots := make([]nix.StorePath, len(h.packages))
	for i, p := range h.packages {
		roots[i] = p.Out
	}
	return roots
}

func (h *gcRoots) release() {
	if h.temp != nil {
		_ = h.temp.Close()
	}
}

// lazyStore is a store that is filled when it is first read. Layers that are
// known are not read, and so need no package on this machine.
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

package publish

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/org/nixery-action/internal/bounded"
	"github.com/org/nixery-action/internal/plainfile"
)

// tarEntry is a file on disk and its name in a tar.
type tarEntry struct {
	name string
	path string
}

// filesBelow returns the files below dir, named relative to it.
func filesBelow(dir string) ([]tarEntry, error) {
	var files []tarEntry
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, tarEntry{name: name, path: filepath.Join(dir, filepath.FromSlash(name))})
		}
		return err
	})
	return files, err
}

// writeTar writes the files sorted by name, each directory before what is in it, with nothing in the headers that depends on the machine.
func writeTar(ctx context.Context, w io.Writer, files []tarEntry) error {
	slices.SortFunc(files, func(a, b tarEntry) int { return cmp.Compare(a.name, b.name) })
	tw := tar.NewWriter(w)
	made := map[string]bool{".": true}
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writeDirs(tw, path.Dir(file.name), made); err != nil {
			return err
		}
		if err := writeEntry(ctx, tw, file); err != nil {
			return err
		}
	}
	return tw.Close()
}

func writeDirs(tw *tar.Writer, dir string, made map[string]bool) error {
	if made[dir] {
		return nil
	}
	if err := writeDirs(tw, path.Dir(dir), made); err != nil {
		return err
	}
	made[dir] = true
	return tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: time.Unix(1, 0)})
}

func writeEntry(ctx context.Context, tw *tar.Writer, entry tarEntry) (err error) {
	file, err := plainfile.Open(entry.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: entry.name, Size: info.Size(), Mode: 0o644, ModTime: time.Unix(1, 0)}
	if err := tw.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(tw, bounded.Reader(ctx, file, info.Size()))
	return err
}

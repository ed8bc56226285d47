package nixinstall

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/ulikunitz/xz"
)

const (
	mostBytes   = 2 << 30 // unpacked; Nix 2.35 takes a tenth of it
	mostEntries = 200_000
)

// unpacker writes a release's tar into a directory. Its entries are
//
//	nix-VERSION-SYSTEM/store/HASH-NAME/…   the closure of Nix
//	nix-VERSION-SYSTEM/.reginfo            what its database knows of it
//	nix-VERSION-SYSTEM/install             a script, which names Nix and its certificates
//
// and further scripts, which stay packed. See scripts/binary-tarball.nix of
// https://github.com/NixOS/nix.
type unpacker struct {
	dir         *os.Root
	entries     int
	bytes       int64
	directories []string // in the order they were made
}

// unpack reads a tar.xz whose hash was verified; it is not believed for all that.
// A cancelled context ends it.
func unpack(ctx context.Context, archive io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	plain, err := xz.NewReader(bufio.NewReaderSize(archive, 1<<20)) // or it reads a byte at a time
	if err != nil {
		return err
	}
	u := &unpacker{dir: root}
	r := tar.NewReader(stoppable{ctx, plain})
	for {
		header, err := r.Next()
		if err == io.EOF {
			return u.close()
		}
		if err != nil {
			return err
		}
		if err := u.entry(header, r); err != nil {
			return fmt.Errorf("%q: %w", header.Name, err)
		}
	}
}

// stoppable is a reader that a context ends.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s stoppable) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	return s.r.Read(p)
}

func (u *unpacker) entry(header *tar.Header, content io.Reader) error {
	u.entries++
	u.bytes += header.Size
	if u.entries > mostEntries || u.bytes > mostBytes {
		return errors.New("the archive is larger than any Nix")
	}
	name, err := inner(header.Name)
	if err != nil || !wanted(name) {
		return err
	}
	if err := u.parents(path.Dir(name)); err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeReg:
		return u.file(name, header, content)
	case tar.TypeDir:
		return u.directory(name)
	case tar.TypeSymlink:
		return u.dir.Symlink(header.Linkname, filepath.FromSlash(name))
	case tar.TypeLink:
		return u.link(name, header)
	}
	return fmt.Errorf("an entry of type %q, which no store has", header.Typeflag)
}

// inner is an entry's name below the archive's one directory.
func inner(name string) (string, error) {
	clean := strings.TrimSuffix(name, "/")
	if clean != path.Clean(clean) || !filepath.IsLocal(clean) {
		return "", errors.New("it leads out of the archive")
	}
	_, rest, _ := strings.Cut(clean, "/")
	return rest, nil
}

func wanted(name string) bool {
	return name == scriptFile || name == registrationFile || strings.HasPrefix(name, "store/")
}

// parents makes the directories that have no entry of their own.
func (u *unpacker) parents(name string) error {
	if name == "." {
		return nil
	}
	if err := u.parents(path.Dir(name)); err != nil {
		return err
	}
	return u.directory(name)
}

// directory makes one, unless it is there. A link to one is none.
func (u *unpacker) directory(name string) error {
	err := u.dir.Mkdir(name, 0o755)
	if err == nil {
		u.directories = append(u.directories, name)
		return nil
	}
	if found, missing := u.dir.Lstat(name); missing == nil && found.IsDir() {
		return nil
	}
	return err
}

// epoch is the time of all files in a store.
var epoch = time.Unix(1, 0)

// file gives a file the store's mode and time, as only the content and the
// executable bit are part of what Nix knows.
func (u *unpacker) file(name string, header *tar.Header, content io.Reader) error {
	f, err := u.dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err = errors.Join(err, f.Chmod(0o444|fs.FileMode(header.Mode)&0o111), f.Close()); err != nil {
		return err
	}
	return u.dir.Chtimes(name, epoch, epoch)
}

func (u *unpacker) link(name string, header *tar.Header) error {
	target, err := inner(header.Linkname)
	if err != nil {
		return fmt.Errorf("a link to %q: %w", header.Linkname, err)
	}
	return u.dir.Link(target, name)
}

// close makes the store's directories read-only, inner ones first: nothing is
// written any more.
func (u *unpacker) close() error {
	for i := len(u.directories) - 1; i >= 0; i-- {
		name := u.directories[i]
		if name == "store" {
			continue
		}
		if err := errors.Join(u.dir.Chtimes(name, epoch, epoch), u.dir.Chmod(name, 0o555)); err != nil {
			return err
		}
	}
	return nil
}

package layers

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"time"
)

// epoch is the mtime of everything in a store, one second after 1970.
var epoch = time.Unix(1, 0)

// copyBuffer is how much of a file is read at once.
const copyBuffer = 256 << 10

// writeTar writes parts as one tar archive and calls cut after each, and after
// the end mark, when all bytes of it have been written. Owners are 0 and
// nameless; headers are USTAR where that suffices, else PAX (POSIX.1-2001).
func writeTar(w io.Writer, parts []part, cut func() error) error {
	tw := tar.NewWriter(w)
	buf := make([]byte, copyBuffer)
	for _, p := range parts {
		for e, err := range p {
			if err != nil {
				return err
			}
			if err := writeEntry(tw, e, buf); err != nil {
				return fmt.Errorf("packing %s: %w", e.Name, err)
			}
		}
		if err := tw.Flush(); err != nil {
			return fmt.Errorf("packing: %w", err)
		}
		if err := cut(); err != nil {
			return err
		}
	}
	if err := tw.Close(); err != nil {
		return fmt.Errorf("packing: %w", err)
	}
	return cut()
}

func writeEntry(tw *tar.Writer, e Entry, buf []byte) error {
	if err := tw.WriteHeader(header(e)); err != nil {
		return err
	}
	if e.Open == nil {
		return nil
	}
	f, err := e.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	// io.LimitReader hides the file's own WriteTo, which would bring a buffer
	// of its own for every file.
	n, err := io.CopyBuffer(tw, io.LimitReader(f, e.Size+1), buf)
	if err == nil && n != e.Size {
		err = fmt.Errorf("the file changed while it was read: %d bytes instead of %d", n, e.Size)
	}
	return err
}

func header(e Entry) *tar.Header {
	h := &tar.Header{Name: e.Name, Mode: int64(e.Mode.Perm()), ModTime: epoch, Size: e.Size, Linkname: e.Link}
	switch {
	case e.Mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, e.Name+"/"
	case e.Mode&fs.ModeSymlink != 0:
		h.Typeflag = tar.TypeSymlink
	default:
		h.Typeflag = tar.TypeReg
	}
	if e.Mode&fs.ModeSticky != 0 {
		h.Mode |= 0o1000
	}
	return h
}

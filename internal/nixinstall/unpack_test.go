package nixinstall

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnpackRefuses(t *testing.T) {
	link := func(name, target string) member {
		return member{name, tar.Header{Typeflag: tar.TypeSymlink, Linkname: target}, ""}
	}
	hard := func(target string) member {
		return member{"store/a/hard", tar.Header{Typeflag: tar.TypeLink, Linkname: target}, ""}
	}
	for name, tc := range map[string]struct {
		members []member
		err     string
	}{
		"a way up":            {[]member{file("store/../../../up", "x", 0o644)}, "leads out of the archive"},
		"a way up at once":    {[]member{file("!../up", "x", 0o644)}, "leads out of the archive"},
		"an absolute path":    {[]member{file("!/up", "x", 0o644)}, "leads out of the archive"},
		"a path not clean":    {[]member{file("store//a/./up", "x", 0o644)}, "leads out of the archive"},
		"a way through links": {[]member{link("store/a", "/tmp"), file("store/a/up", "x", 0o644)}, "file exists"},
		"a file over a link":  {[]member{link("store/a", "../../up"), file("store/a", "x", 0o644)}, "file exists"},
		"a hard link out":     {[]member{hard("/etc/passwd")}, "leads out of the archive"},
		"a hard link up":      {[]member{hard(top + "../../etc/passwd")}, "leads out of the archive"},
		"a hard link by link": {[]member{link("store/b", "/etc"), hard(top + "store/b/passwd")}, "escapes"},
		"a device":            {[]member{{"store/null", tar.Header{Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}, ""}}, "no store has"},
		"a FIFO":              {[]member{{"store/fifo", tar.Header{Typeflag: tar.TypeFifo}, ""}}, "no store has"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			inside := filepath.Join(dir, "inside")
			if err := os.Mkdir(inside, 0o755); err != nil {
				t.Fatal(err)
			}
			err := unpack(t.Context(), bytes.NewReader(pack(t, tc.members)), inside)
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("got %v, want %s", err, tc.err)
			}
			if _, err := os.Lstat("/tmp/up"); err == nil {
				t.Error("a file was written to /tmp")
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
				t.Errorf("outside are %v, %v", entries, err)
			}
		})
	}
}

// The header's size is counted before anything of the entry is written.
func TestUnpackBounds(t *testing.T) {
	u := &unpacker{}
	err := u.entry(&tar.Header{Name: "x", Size: mostBytes + 1}, nil)
	if err == nil || !strings.Contains(err.Error(), "larger than any Nix") {
		t.Errorf("got %v", err)
	}
	u = &unpacker{}
	for range mostEntries {
		if err := u.entry(&tar.Header{Name: "x"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.entry(&tar.Header{Name: "x"}, nil); err == nil {
		t.Error("entries have no bound")
	}
}

func TestUnpackDamaged(t *testing.T) {
	archive := pack(t, release())
	for name, bytesOf := range map[string][]byte{
		"cut":      archive[:len(archive)-len(archive)/4],
		"not a xz": []byte("<html></html>"),
		"empty":    nil,
	} {
		if err := unpack(t.Context(), bytes.NewReader(bytesOf), t.TempDir()); err == nil {
			t.Errorf("%s: unpacked", name)
		}
	}
}

func TestUnpackStops(t *testing.T) {
	reason := errors.New("the job was cancelled")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	if err := unpack(ctx, bytes.NewReader(pack(t, release())), t.TempDir()); !errors.Is(err, reason) {
		t.Errorf("got %v", err)
	}
}

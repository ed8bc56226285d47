//go:build e2e

package attack

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// forms are the ways in which a secret may be written down.
func forms(secret string) [][]byte {
	all := [][]byte{[]byte(secret)}
	for shift := range 3 { // base64 of a text that the secret is a part of
		encoded := base64.StdEncoding.EncodeToString([]byte("xx"[:shift] + secret))
		all = append(all, []byte(encoded[4:len(encoded)-4]))
	}
	return all
}

// has reports whether some bytes, or what they unpack to, have a text.
func has(data []byte, text string) bool {
	for _, form := range forms(text) {
		if bytes.Contains(data, form) {
			return true
		}
	}
	if unpacked, ok := unpack(data); ok {
		return has(unpacked, text)
	}
	return false
}

// unpack decompresses. Of what is cut short, it gives what there is.
func unpack(data []byte) ([]byte, bool) {
	// A ledger is a line, and then gzip.
	if line, rest, ok := bytes.Cut(data, []byte("\n")); ok && bytes.HasPrefix(line, []byte("nixery-action ledger ")) {
		return unpack(rest)
	}
	switch {
	case bytes.HasPrefix(data, []byte{0x1f, 0x8b}):
		if zip, err := gzip.NewReader(bytes.NewReader(data)); err == nil {
			unpacked, _ := io.ReadAll(zip)
			return unpacked, true
		}
	case bytes.HasPrefix(data, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		if zip, err := zstd.NewReader(bytes.NewReader(data)); err == nil {
			defer zip.Close()
			unpacked, _ := io.ReadAll(zip)
			return unpacked, true
		}
	}
	return nil, false
}

// holding are the files below a directory that have a text, unpacked or not: of a registry, all layers and configs of all images,
// also of those that no tag names.
func holding(t *testing.T, dir, text string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(file)
		if err == nil && has(data, text) {
			files = append(files, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// nowhere wants no secret in any file below some directories.
func nowhere(t *testing.T, secrets map[string]string, dirs ...string) {
	t.Helper()
	for what, secret := range secrets {
		for _, dir := range dirs {
			for _, file := range holding(t, dir, secret) {
				t.Errorf("%s got out: it is in %s", what, file)
			}
		}
	}
}

// unsaid wants no secret in a text.
func unsaid(t *testing.T, secrets map[string]string, where, text string) {
	t.Helper()
	for what, secret := range secrets {
		if has([]byte(text), secret) {
			t.Errorf("%s got out: it is in %s", what, where)
		}
	}
}

// The test that others lean on: what is hidden is found, and what is not there is not.
func TestLooking(t *testing.T) {
	secret := salt()
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	_, _ = zip.Write([]byte("before " + secret + " after"))
	_ = zip.Close()
	encoded := base64.StdEncoding.EncodeToString([]byte("user:" + secret))
	for name, data := range map[string]string{
		"plain": "a" + secret, "gzip": zipped.String(), "base64": encoded, "ledger": "nixery-action ledger 1 x\n" + zipped.String(),
	} {
		dir := t.TempDir()
		write(t, dir, map[string]string{"a/b": data})
		if found := holding(t, dir, secret); len(found) != 1 {
			t.Errorf("%s: not found", name)
		}
		if found := holding(t, dir, salt()); len(found) != 0 {
			t.Errorf("%s: found what is not there", name)
		}
	}
}

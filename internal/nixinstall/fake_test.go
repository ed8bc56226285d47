package nixinstall

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ulikunitz/xz"

	"github.com/org/nixery-action/internal/progress"
)

const (
	fakeNix   = "00000000000000000000000000000000-nix-9.9"
	fakeCerts = "11111111111111111111111111111111-nss-cacert-9"
	top       = "nix-9.9-x86_64-linux/"
)

// nixStore and nixEnv do what those of Nix do, as far as it can be seen.
const nixStore = `#!/bin/sh
root=${0%/store/*}
[ "$*" = --load-db ] && mkdir "$root/var/nix/db" && cat >"$root/var/nix/db/known"
`

const nixEnv = `#!/bin/sh
[ "$1 $3" = "--profile --install" ] || exit 9
mkdir -p "$2" && ln -s "$4/bin" "$2/bin" && ln -s "$5/etc" "$2/etc"
`

// member is an entry of a tar; its name is relative to the one directory there.
type member struct {
	name    string
	header  tar.Header
	content string
}

func file(name, content string, mode int64) member {
	return member{name, tar.Header{Typeflag: tar.TypeReg, Mode: mode}, content}
}

func directory(name string) member {
	return member{name + "/", tar.Header{Typeflag: tar.TypeDir, Mode: 0o755}, ""}
}

// release is a tarball's content in the form of Nix's, as GNU tar writes it: the
// top directory and the store have no entry.
func release() []member {
	return []member{
		file(".reginfo", "what the database knows\n", 0o644),
		file("install", "#!/bin/sh\nnix=\"/nix/store/"+fakeNix+"\"\ncacert=\"/nix/store/"+fakeCerts+"\"\n", 0o755),
		file("install-multi-user", "#!/bin/sh\nexit 1\n", 0o755),
		directory("store/" + fakeNix),
		directory("store/" + fakeNix + "/bin"),
		file("store/"+fakeNix+"/bin/nix-store", nixStore, 0o755),
		file("store/"+fakeNix+"/bin/nix-env", nixEnv, 0o755),
		{"store/" + fakeNix + "/bin/nix", tar.Header{Typeflag: tar.TypeSymlink, Linkname: "nix-store"}, ""},
		directory("store/" + fakeCerts),
		directory("store/" + fakeCerts + "/etc"),
		file("store/"+fakeCerts+"/etc/ca-bundle.crt", "certificates\n", 0o644),
		{"store/" + fakeCerts + "/etc/same.crt", tar.Header{Typeflag: tar.TypeLink, Linkname: top + "store/" + fakeCerts + "/etc/ca-bundle.crt"}, ""},
	}
}

// pack makes a tar.xz. Names beginning with "!" are taken as they are.
func pack(t *testing.T, members []member) []byte {
	t.Helper()
	var packed bytes.Buffer
	x, err := xz.NewWriter(&packed)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(x)
	for _, m := range members {
		h := m.header
		h.Name, h.Size = top+m.name, int64(len(m.content))
		if m.name[0] == '!' {
			h.Name = m.name[1:]
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// mirror serves an archive; the first requests are answered by faults.
type mirror struct {
	*httptest.Server
	archive []byte
	faults  []http.HandlerFunc

	mu       sync.Mutex
	requests int
}

func serve(t *testing.T, archive []byte, faults ...http.HandlerFunc) *mirror {
	m := &mirror{archive: archive, faults: faults}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	n := m.requests
	m.requests++
	m.mu.Unlock()
	if n < len(m.faults) {
		m.faults[n](w, r)
		return
	}
	_, _ = w.Write(m.archive)
}

func (m *mirror) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// installer installs below a directory of the test's.
func (m *mirror) installer(t *testing.T) Installer {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() { _ = removeAll(filepath.Join(dir, "nix")) })
	for _, name := range []string{"temp", "etc"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	u, err := url.Parse(m.URL + "/nix-9.9-x86_64-linux.tar.xz")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(m.archive)
	return Installer{
		Archive: Archive{URL: u, SHA256: hex.EncodeToString(sum[:])},
		TempDir: filepath.Join(dir, "temp"),
		ConfDir: filepath.Join(dir, "etc/nix"),
		Log:     slog.New(slog.DiscardHandler),
		Display: progress.New(io.Discard, false, nil, time.Now),
		root:    filepath.Join(dir, "nix"),
		wait:    time.Millisecond,
	}
}

// mustBeClean fails if an installation that failed left anything.
func mustBeClean(t *testing.T, i Installer) {
	t.Helper()
	for _, dir := range []string{i.root, filepath.Join(i.ConfDir, "nix.conf")} {
		if _, err := os.Lstat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", dir, err)
		}
	}
	for _, dir := range []string{i.TempDir, i.Keep} {
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			t.Errorf("%s is left in %s", entries[0].Name(), dir)
		}
	}
}

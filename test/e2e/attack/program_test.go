//go:build e2e

package attack

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// root is the top level of the checkout, and binary the program of it.
var root, binary string

func TestMain(m *testing.M) {
	code, err := prepare(m)
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		code = 1
	}
	os.Exit(code)
}

func prepare(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "nixery-e2e")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if root, err = filepath.Abs("../../.."); err != nil {
		return 0, err
	}
	binary = filepath.Join(dir, "nixery-action")
	build := exec.Command("go", "build", "-o", binary, "./cmd/action")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return 0, errors.Join(errors.New(string(out)), err)
	}
	return m.Run(), nil
}

// salt makes names and secrets that no earlier run has left in the Nix store.
func salt() string { return strings.ToLower(rand.Text()) }

// user is a machine's user, with a home of its own.
type user struct {
	home string
	env  []string // on top of what every user has
}

func newUser(t *testing.T) *user {
	t.Helper()
	home := t.TempDir()
	for _, dir := range []string{"tmp", ".docker"} {
		if err := os.Mkdir(filepath.Join(home, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &user{home: home}
}

// environ has what a program needs here, and nothing that this test's own environment may hide or give away.
func (u *user) environ() []string {
	config := os.Getenv("NIX_CONFIG")
	if config == "" {
		config = "build-users-group =\nsandbox = false\nsubstituters =\n"
	}
	env := []string{
		"HOME=" + u.home, "TMPDIR=" + filepath.Join(u.home, "tmp"), "DOCKER_CONFIG=" + filepath.Join(u.home, ".docker"),
		"PATH=" + os.Getenv("PATH"), "NIX_CONFIG=" + config + "\nexperimental-features = nix-command flakes\n", "GIT_CONFIG_NOSYSTEM=1",
	}
	return append(env, u.env...)
}

// ran is what a program left behind: said is all that it printed.
type ran struct {
	code   int
	stdout string
	said   string
}

func (r ran) wants(t *testing.T, code int) ran {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d:\n%s", r.code, code, r.said)
	}
	return r
}

// fails wants a program to say no: by an exit code of its own, neither killed nor by a panic.
func (r ran) fails(t *testing.T) ran {
	t.Helper()
	if r.code != 1 && r.code != 2 || strings.Contains(r.said, "goroutine ") {
		t.Fatalf("exit code %d, want 1 or 2:\n%s", r.code, r.said)
	}
	return r
}

func (u *user) run(t *testing.T, dir, program string, args ...string) ran {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Env = dir, u.environ()
	var stdout bytes.Buffer
	said := &together{}
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&stdout, said), said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return ran{cmd.ProcessState.ExitCode(), stdout.String(), said.all.String()}
}

// together keeps what comes on two streams.
type together struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (t *together) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all.Write(p)
}

func (u *user) build(t *testing.T, dir string, args ...string) ran {
	t.Helper()
	return u.run(t, dir, binary, append([]string{"build"}, args...)...)
}

func (u *user) git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	identity := []string{"-c", "user.name=u", "-c", "user.email=u@example.org", "-c", "commit.gpgsign=false"}
	return strings.TrimSpace(u.run(t, dir, "git", append(identity, args...)...).wants(t, 0).stdout)
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// repository makes a git repository with one commit of files.
func (u *user) repository(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, files)
	u.git(t, dir, "init", "--quiet", "--initial-branch=main")
	u.git(t, dir, "add", ".")
	u.git(t, dir, "commit", "--quiet", "--message=first")
	return dir
}

// registry is docker's registry, whose files can be looked at.
type registry struct{ address, dir string }

func startRegistry(t *testing.T) registry {
	t.Helper()
	dir := t.TempDir()
	return registry{start(t, nil, filepath.Join(root, "testdata/scripts/registry"), dir), dir}
}

// start starts a program that prints a line when it is ready, and ends it with the test.
func start(t *testing.T, env []string, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stderr, cmd.Env = &lines{t: t}, env
	stdout, err := cmd.StdoutPipe()
	if err := errors.Join(err, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	return strings.TrimSpace(line)
}

// lines shows what a program says in the log of the test.
type lines struct{ t *testing.T }

func (l *lines) Write(p []byte) (int, error) {
	l.t.Logf("%s", bytes.TrimSpace(p))
	return len(p), nil
}

func parse(t *testing.T, reference string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(reference, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// digest is that of a reference, which must exist.
func (r registry) digest(t *testing.T, reference string) string {
	t.Helper()
	found, err := remote.Head(parse(t, r.address+"/"+reference))
	if err != nil {
		t.Fatal(err)
	}
	return found.Digest.String()
}

// tags are those of a repository, of which there may be none.
func (r registry) tags(t *testing.T, repository string) []string {
	t.Helper()
	tags, err := remote.List(parse(t, r.address+"/"+repository).Context())
	if err != nil {
		return nil
	}
	return tags
}

// image is what a client of this machine's kind pulls.
func (r registry) image(t *testing.T, reference string) v1.Image {
	t.Helper()
	image, err := remote.Image(parse(t, r.address+"/"+reference), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "amd64"}))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// repositories are those that exist.
func (r registry) repositories(t *testing.T) []string {
	t.Helper()
	host, err := name.NewRegistry(r.address, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	all, err := remote.Catalog(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

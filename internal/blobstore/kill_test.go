package blobstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// childVariable makes this test binary a process that fills a directory until it is killed.
const childVariable = "DEPOT_TEST_FILL"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		fmt.Println("error:", fill(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// fill stores blobs, and says the digest of each when it is there. In the middle of each it says half, so that the parent can kill it
// there.
func fill(dir string) error {
	d, err := Open(context.Background(), dir, Options{})
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		half := strings.Repeat(fmt.Sprint("blob ", i, " of ", os.Getpid(), "\n"), 5000)
		content := io.MultiReader(strings.NewReader(half), &teller{}, strings.NewReader(half))
		stored, err := d.Put(context.Background(), v1.Hash{}, "x/y", content)
		if err != nil {
			return err
		}
		fmt.Println(stored.Digest)
	}
}

// teller is an empty stream that says when it is read.
type teller struct{}

func (*teller) Read([]byte) (int, error) {
	fmt.Println("half")
	return 0, io.EOF
}

// Whenever a process is killed, what has a name is whole, and what it said was there is there.
func TestKilledWhileWriting(t *testing.T) {
	dir := t.TempDir()
	said := map[string]bool{}
	midst := 0                             // uploads that ended with their process
	for lines := 1; lines <= 12; lines++ { // odd: in the middle of a blob; even: between two, or wherever the next one is by now
		for _, line := range runAndKill(t, dir, lines) {
			if line != "half" {
				said[line] = true
			}
		}
		left, _ := os.ReadDir(filepath.Join(dir, "uploads"))
		midst += len(left)
		d, err := Open(t.Context(), dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		there := keysBelow(t, d, "blobs/")
		for _, key := range there {
			digest := v1.Hash{Algorithm: "sha256", Hex: filepath.Base(key)}
			if _, err := read(t, d, digest, 0, -1); err != nil {
				t.Errorf("after %d lines: %v", lines, err)
			}
			delete(said, digest.String())
		}
		if len(said) > 0 {
			t.Errorf("after %d lines: said to be there, and is not: %v", lines, said)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if midst == 0 {
		t.Error("no process was killed in the middle of a blob")
	}
}

// runAndKill kills a child, as kill -9 does, when it has said so many lines.
func runAndKill(t *testing.T, dir string, lines int) (said []string) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+dir)
	stdout, err := child.StdoutPipe()
	if err := errors.Join(err, child.Start()); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(stdout)
	for len(said) < lines && scanner.Scan() {
		said = append(said, scanner.Text())
	}
	if err := child.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = child.Wait()
	if len(said) < lines {
		t.Fatalf("the child said only %q", said)
	}
	return said
}

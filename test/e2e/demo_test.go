//go:build e2e

package e2e_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/org/nixery-action/test/pages"
)

var (
	loopback = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	elapsed  = regexp.MustCompile(`\(\d+\.\d s\)`)
)

// make demo works, and ends as CONTRIBUTING.md says, digests and all, but for the
// time it took.
func TestDemo(t *testing.T) {
	cmd := exec.Command("make", "--no-print-directory", "demo")
	cmd.Env = append(os.Environ(), "MAKEFLAGS=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	got := elapsed.ReplaceAllString(strings.ReplaceAll(loopback.ReplaceAllString(string(out), "127.0.0.1:5000"), root+"/", ""), "(0.0 s)")
	_, rest, _ := strings.Cut(pages.Read(t, "CONTRIBUTING.md"), "```console\n")
	want, _, _ := strings.Cut(rest, "```")
	if want == "" || !strings.HasSuffix(got, want) {
		t.Errorf("CONTRIBUTING.md shows\n%s\nand make demo printed\n%s", want, got)
	}
}

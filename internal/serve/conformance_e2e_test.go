//go:build e2e

package serve

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/spec"
)

// TestConformance runs the distribution specification's own tests, of pulling and of listing tags. Its tests of pushing and deleting are
// off, as there is nothing to push or delete here; and the suite has none of referrers yet, which TestReferrers is for.
func TestConformance(t *testing.T) {
	const name = "shell/app"
	branches := []string{"one", "two", "three"}
	r, _ := newRealRegistry(t, spec.Nixpkgs{Git: &spec.Git{URL: "file://" + tinyRepository(t, branches)}}, nil)
	for _, tag := range branches { // a tag is listed once it was pulled
		r.get("/v2/"+name+"/manifests/"+tag, "Accept", string(types.OCIManifestSchema1))
	}
	pulled := r.get("/v2/"+name+"/manifests/latest", "Accept", string(types.OCIManifestSchema1))
	specs := runConformance(t, []string{
		"OCI_ROOT_URL=" + r.url, "OCI_NAMESPACE=" + name,
		"OCI_TEST_PULL=1", "OCI_TAG_NAME=latest",
		"OCI_MANIFEST_DIGEST=" + pulled.digest(), "OCI_BLOB_DIGEST=" + pulled.manifest(t).Config.Digest.String(),
		"OCI_TEST_CONTENT_DISCOVERY=1", "OCI_TAG_LIST=latest," + strings.Join(branches, ","),
	})
	for _, category := range []string{"Pull Pull blobs", "Pull Pull manifests", "Pull Error codes", "Content Discovery Test content discovery endpoints"} {
		ran := 0
		for _, s := range specs {
			if !strings.HasPrefix(s.Name, "OCI Distribution Conformance Tests "+category+" ") {
				continue
			}
			if ran++; s.Skipped != nil {
				t.Errorf("it was left out: %s", s.Name)
			}
		}
		if ran == 0 {
			t.Errorf("there is no test of %s", category)
		}
		t.Logf("%d tests of %s", ran, category)
	}
}

// tinyRepository is a git repository of the tiny package set, with branches beside its first.
func tinyRepository(t *testing.T, branches []string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../testdata/tiny")); err != nil {
		t.Fatal(err)
	}
	run(t, "git", "-C", dir, "init", "-q", "-b", "main")
	run(t, "git", "-C", dir, "add", ".")
	run(t, "git", "-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "tiny")
	for _, branch := range branches {
		run(t, "git", "-C", dir, "branch", branch)
	}
	return dir
}

// conformanceSpec is one test of the suite, as its JUnit report has it.
type conformanceSpec struct {
	Name    string    `xml:"name,attr"`
	Skipped *struct{} `xml:"skipped"`
	Failure *string   `xml:"failure"`
}

// runConformance runs the suite, and returns its tests. Those that failed are this test's errors.
func runConformance(t *testing.T, env []string) []conformanceSpec {
	t.Helper()
	program := strings.TrimSpace(run(t, "../../testdata/scripts/conformance"))
	cmd := exec.Command(program, "-ginkgo.noColor")
	cmd.Dir, cmd.Env = t.TempDir(), env // its reports go to its directory
	out, runErr := cmd.CombinedOutput()
	report, err := os.ReadFile(filepath.Join(cmd.Dir, "junit.xml"))
	if err != nil {
		t.Fatalf("%v, %v\n%s", runErr, err, out)
	}
	var suite struct {
		Specs []conformanceSpec `xml:"testcase"`
	}
	if err := xml.Unmarshal(report, &suite); err != nil {
		t.Fatal(err)
	}
	for _, s := range suite.Specs {
		if s.Failure != nil {
			t.Errorf("%s: %s", s.Name, *s.Failure)
		}
	}
	if runErr != nil && !t.Failed() { // it ended in a way that its report does not tell
		t.Errorf("%v\n%s", runErr, out)
	}
	return suite.Specs
}

package cli

import (
	"os/exec"
	"testing"
)

// Away from a workflow the checkout tells what is built, and a run that pushes nothing
// does not stop for what it cannot tell.
func TestVariablesComeFromTheCheckout(t *testing.T) {
	for _, name := range []string{"GITHUB_SHA", "GITHUB_REF_NAME", "GITHUB_REPOSITORY", "GITHUB_RUN_ID"} {
		t.Setenv(name, "")
	}
	dir := t.TempDir()
	for _, args := range [][]string{
		{"init", "-q", "-b", "trunk"},
		{"-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"},
		{"remote", "add", "origin", "git@github.com:acme/toolbox.git"},
	} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	var o buildOptions
	o.Context = dir
	lookup := o.variables(t.Context(), &console{})
	for name, want := range map[string]string{"GITHUB_REF_NAME": "trunk", "GITHUB_REPOSITORY": "acme/toolbox", "GITHUB_RUN_ID": "GITHUB_RUN_ID"} {
		if got, ok := lookup(name); got != want || !ok {
			t.Errorf("%s = %q, %v; want %q", name, got, ok, want)
		}
	}
	if sha, ok := lookup("GITHUB_SHA"); len(sha) != 40 || !ok {
		t.Errorf("GITHUB_SHA = %q, %v", sha, ok)
	}
}

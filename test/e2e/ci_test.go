//go:build e2e

package e2e_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"gopkg.in/yaml.v3"

	"github.com/org/nixery-action/test/pages"
)

const (
	ciPage   = "docs/ci.md"
	releases = "https://github.com/org/nixery-action/releases/download/v1.2.3"
)

var shellBlock = regexp.MustCompile("(?ms)^```sh\\n(.*?)^```")

// shellScript is the block of the page that has some words.
func shellScript(t *testing.T, words string) string {
	t.Helper()
	for _, block := range shellBlock.FindAllStringSubmatch(pages.Read(t, ciPage), -1) {
		if strings.Contains(block[1], words) {
			return block[1]
		}
	}
	t.Fatalf("%s has no script with %q", ciPage, words)
	return ""
}

var fence = regexp.MustCompile("(?m)^```(\\w+)$")

// The tests below, and those of workflows, run all blocks that the page has.
func TestBlocksOfCI(t *testing.T) {
	var got []string
	for _, match := range fence.FindAllStringSubmatch(pages.Read(t, ciPage), -1) {
		got = append(got, match[1])
	}
	if want := []string{"sh", "yaml", "yaml", "sh"}; !slices.Equal(got, want) {
		t.Errorf("the page has blocks of %q, and tests for %q", got, want)
	}
}

// The script for any shell publishes, and its second run learns from the first.
func TestShellOfCI(t *testing.T) {
	ci := newCI(t)
	run := func() string {
		return ci.run(t, shellScript(t, "nixery-action-linux-amd64 build"), "IMAGE="+ci.address+"/acme/toolbox",
			"REGISTRY_USER="+ciLogin.Username, "REGISTRY_PASSWORD="+ciLogin.Password)
	}
	first, second := run(), run()
	checkWarm(t, first, second)
	commit := strings.TrimSpace(git(t, ci.dir, "rev-parse", "--short", "HEAD"))
	ci.checkTags(t, "acme/toolbox", "latest", commit)
}

// What GitLab would run of the page's pipeline does the same.
func TestGitLabOfCI(t *testing.T) {
	ci := newCI(t)
	script, variables := gitLabScript(t)
	run := func() string {
		return ci.run(t, script, append(variables, "CI_REGISTRY="+ci.address, "CI_REGISTRY_IMAGE="+ci.address+"/acme/toolbox",
			"CI_REGISTRY_USER="+ciLogin.Username, "CI_REGISTRY_PASSWORD="+ciLogin.Password,
			"CI_COMMIT_REF_SLUG=main", "CI_COMMIT_SHORT_SHA=0123abcd")...)
	}
	first, second := run(), run()
	checkWarm(t, first, second)
	ci.checkTags(t, "acme/toolbox", "main", "0123abcd")
}

// The command for act runs the README's workflow.
func TestActOfCI(t *testing.T) {
	ci := newCI(t)
	all := pages.Workflows(t)
	w := all[slices.IndexFunc(all, func(w pages.Workflow) bool { return w.Where == "README.md" })]
	repository := startRegistry(t) + "/acme/toolbox"
	spec := fmt.Sprintf("nixpkgs: {path: %s}\nrepository: %s\npackages: [hello]\n", tinySet(t), repository)
	ci.dir = checkout(t, w.Text, map[string]string{"nixery.yaml": spec, ".github/workflows/toolbox.yml": w.Text})
	program, err := exec.Command("testdata/scripts/act").Output()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	ci.put(t, filepath.Join(home, "act/actrc"), "", 0o644)
	ci.put(t, filepath.Join(ci.bin, "act"), fmt.Sprintf("#!/bin/sh\nexec %s \"$@\" --local-repository %s=%s --cache-server-addr 127.0.0.1 --cache-server-path %s\n",
		strings.TrimSpace(string(program)), pages.OurAction, actionDirectory(t), t.TempDir()), 0o755)
	built, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	run := func() string {
		return ci.run(t, shellScript(t, "act push"), "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "NIXERY_ACTION_BINARY="+built)
	}
	first, second := run(), run()
	checkWarm(t, first, second)
	if _, err := remote.Head(mustReference(t, repository+":latest")); err != nil {
		t.Error(err)
	}
}

// checkWarm tells whether the second of two runs made nothing that the first had made.
func checkWarm(t *testing.T, first, second string) {
	t.Helper()
	if !strings.Contains(first, "layers uploaded") || strings.Contains(first, " 0 layers uploaded") {
		t.Errorf("the first run uploaded nothing:\n%s", first)
	}
	for _, want := range []string{"evaluating: not needed", "publishing: 0 layers uploaded"} {
		if !strings.Contains(second, want) {
			t.Errorf("the second run does not say %q:\n%s", want, second)
		}
	}
}

// gitLabScript is what GitLab makes of the page's job: a shell script, and variables.
func gitLabScript(t *testing.T) (script string, variables []string) {
	t.Helper()
	for _, block := range pages.YamlBlocks.FindAllStringSubmatch(pages.Read(t, ciPage), -1) {
		if !strings.HasPrefix(block[1], "# .gitlab-ci.yml\n") {
			continue
		}
		var jobs map[string]struct {
			Variables map[string]string
			Before    []string `yaml:"before_script"`
			Script    []string
		}
		if err := yaml.Unmarshal([]byte(block[1]), &jobs); err != nil || len(jobs) != 1 {
			t.Fatalf("%d jobs: %v", len(jobs), err)
		}
		for _, job := range jobs {
			script = strings.Join(append(job.Before, job.Script...), "\n")
			for name, value := range job.Variables {
				variables = append(variables, name+"="+value)
			}
		}
		return script, variables
	}
	t.Fatalf("%s has no .gitlab-ci.yml", ciPage)
	return "", nil
}

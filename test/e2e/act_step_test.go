//go:build e2e

package e2e_test

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/progress"

	"github.com/org/nixery-action/test/pages"
)

// twoImages is what a user writes who knows the inputs from the README only.
const twoImages = `
on: push
jobs:
  images:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - uses: docker/login-action@v3
        with:
          registry: HOST
          username: u
          password: ${{ secrets.REGISTRY_PASSWORD }}
      - uses: org/nixery-action@v1
        id: images
        with:
          push: true
      - id: later
        run: |
          echo "digest=$DIGEST" >>"$GITHUB_OUTPUT"
          echo "hit=$HIT" >>"$GITHUB_OUTPUT"
          echo "first=$(head -n 1 <<<"$TAGS")" >>"$GITHUB_OUTPUT"
          echo "arm=$ARM" >>"$GITHUB_OUTPUT"
          echo "index=$INDEX" >>"$GITHUB_OUTPUT"
          echo "name=$NAME" >>"$GITHUB_OUTPUT"
          echo "size=$SIZE" >>"$GITHUB_OUTPUT"
        env:
          DIGEST: ${{ steps.images.outputs.digest }}
          HIT: ${{ steps.images.outputs.cache-hit }}
          TAGS: ${{ steps.images.outputs.tags }}
          ARM: ${{ fromJSON(steps.images.outputs.digests).server['linux/arm64/v8'] }}
          INDEX: ${{ fromJSON(steps.images.outputs.metadata).server['containerimage.digest'] }}
          NAME: ${{ fromJSON(steps.images.outputs.metadata).tools['image.name'] }}
          SIZE: ${{ fromJSON(steps.images.outputs.json).images[0].platforms[0].size }}
`

const twoImagesSpec = `nixpkgs: {path: pkgs}
images:
  server:
    repository: HOST/acme/server
    packages: [app, hello]
    architectures: [amd64, arm64]
  tools:
    repository: HOST/acme/tools
    tags: [latest, "${GITHUB_REF_NAME}"]
    packages: [shell, tree]
    architectures: [amd64, arm64]
`

const password = "hunter2-of-the-registry"

// Two images for two platforms go to a registry that asks who is there. Then one package is updated, and the page of the run says so.
func TestTwoImagesUnderAct(t *testing.T) {
	host, kept := startDocker(t, "u", password), t.TempDir()
	w := parseWorkflow(t, strings.ReplaceAll(twoImages, "HOST", host))
	first := runImages(t, w, host, kept, pages.Read(t, "testdata/tiny/default.nix"))
	checkLater(t, first, host)
	if page := first.ofStep("images").page(t); !strings.Contains(page, "This is the first image under "+host+"/acme/tools:latest") {
		t.Errorf("the first page is\n%s", page)
	}

	update := strings.NewReplacer("tiny-lib-1.2", "tiny-lib-1.3", "echo 'reads ${self.base}", "head -c 20000 /dev/zero >$out/lib/more; echo 'reads ${self.base}")
	second := runImages(t, w, host, kept, update.Replace(pages.Read(t, "testdata/tiny/default.nix")))
	checkLater(t, second, host)
	page := second.ofStep("images").page(t)
	before, after := first.narSize(t, "tiny-lib-1.2"), second.narSize(t, "tiny-lib-1.3")
	for _, want := range []string{
		fmt.Sprintf("updated tiny-lib 1.2 1.3 %s (+%s)", progress.Size(after), progress.Size(after-before)),
		fmt.Sprintf("Nothing changed: %s/acme/tools:latest had this digest already.", host),
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the second page lacks %q:\n%s", want, page)
		}
	}
}

// runImages plays the workflow as on a fresh runner, with what the cache has kept, and wants it to go well and tell no secret.
func runImages(t *testing.T, w pages.Workflow, host, kept, packages string) acted {
	t.Helper()
	dir := checkout(t, w.Text, map[string]string{
		"nixery.yaml":      strings.ReplaceAll(twoImagesSpec, "HOST", host),
		"pkgs/default.nix": packages,
		"pkgs/elf.nix":     pages.Read(t, "testdata/tiny/elf.nix"),
	})
	run := act(t, w, dir, "--cache-server-addr", "127.0.0.1", "--cache-server-path", kept, "--env", "ACTIONS_RUNTIME_TOKEN=any",
		"--insecure-secrets", "-s", "REGISTRY_PASSWORD="+password)
	if problems := append(run.commands("error"), run.commands("warning")...); run.failed || len(problems) > 0 {
		t.Fatalf("%+v\n%s", problems, run.text)
	}
	if checkGroups(t, run) == 0 {
		t.Error("no stage is folded")
	}
	for _, line := range run.lines {
		if strings.Contains(line.Msg+line.Content+line.Arg, password) && line.Command != "add-mask" {
			t.Errorf("the password is in the log: %+v", line)
		}
	}
	return run
}

// checkLater compares what a later step has read from the outputs, and what the page says, with what the registry has.
func checkLater(t *testing.T, run acted, host string) {
	t.Helper()
	server, tools := host+"/acme/server:latest", host+"/acme/tools:latest"
	later, there := run.ofStep("later"), pull(t, server)
	for output, want := range map[string]string{
		"digest": "",
		"hit":    "false",
		"first":  server,
		"arm":    there.arm64.String(),
		"index":  there.digest.String(),
		"name":   tools + "," + host + "/acme/tools:main",
		"size":   fmt.Sprint(there.size),
	} {
		if got := later.output(output); got != want {
			t.Errorf("a later step has %s %q, want %q", output, got, want)
		}
	}
	if got := pull(t, host+"/acme/tools:main").digest; got != pull(t, tools).digest {
		t.Errorf("the tags of tools are not one image: %s", got)
	}
	if page, want := run.ofStep("images").page(t), fmt.Sprintf("%s linux/amd64 %s ", server, progress.Size(there.size)); !strings.Contains(page, want) {
		t.Errorf("the page lacks %q:\n%s", want, page)
	}
}

// narSize asks Nix for the size of the first store path in the output json that ends in a name.
func (a acted) narSize(t *testing.T, name string) int64 {
	t.Helper()
	path := regexp.MustCompile(`/nix/store/[0-9a-z]{32}-` + regexp.QuoteMeta(name)).FindString(a.output("json"))
	out, err := exec.Command("nix-store", "--query", "--size", path).Output()
	if err != nil {
		t.Fatalf("the size of %q, of %s: %v", path, name, err)
	}
	size, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return size
}

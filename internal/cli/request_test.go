package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/nixery-action/internal/actions"
	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/spec"
)

// wantedOf is an image that the spec publishes as example.com/acme/spec:latest.
func wantedOf() wanted {
	images := []spec.Image{{Name: "box", Repository: "example.com/acme/spec", Tags: []string{"latest"}, Architectures: []string{"amd64"}, Format: spec.Docker}}
	return wanted{Spec: &spec.Spec{File: "nixery.yaml", Images: images}, images: images, said: images}
}

// texts are the names of the only image.
func texts(all []build.Names) (list []string) {
	for _, names := range all {
		for _, tag := range names.Tags {
			list = append(list, tag.Name())
		}
		for _, repository := range names.Repositories {
			list = append(list, repository.Name()+"@")
		}
	}
	return list
}

// What each line of outputs publishes, whatever the others say.
func TestOutputsAreEachTheirOwn(t *testing.T) {
	const tag, prod, byDigest = "example.com/a/b:v1", "type=image,name=example.com/prod:v1", "type=image,push=true,push-by-digest=true,name=example.com/c"
	for title, c := range map[string]struct {
		in     actions.Inputs
		pushed []string
		others [][]string // of the other lines, in their order
	}{
		"nothing":                 {in: actions.Inputs{Tags: []string{tag}}},
		"push":                    {in: actions.Inputs{Push: true, Tags: []string{tag}}, pushed: []string{tag}},
		"push of the spec's":      {in: actions.Inputs{Push: true}, pushed: []string{"example.com/acme/spec:latest"}},
		"push=false beside true":  {in: actions.Inputs{Tags: []string{tag}, Outputs: []string{prod + ",push=false", "type=image,push=true"}}, pushed: []string{tag}, others: [][]string{{"example.com/prod:v1"}}},
		"no push beside registry": {in: actions.Inputs{Outputs: []string{prod, "type=registry"}}, pushed: []string{"example.com/acme/spec:latest"}, others: [][]string{{"example.com/prod:v1"}}},
		"by digest beside a tag":  {in: actions.Inputs{Tags: []string{tag}, Outputs: []string{byDigest, "type=registry"}}, pushed: []string{tag, "example.com/c@"}},
		"by digest in the tag's":  {in: actions.Inputs{Tags: []string{tag}, Outputs: []string{"type=registry", "type=registry,push-by-digest=true"}}, pushed: []string{tag, "example.com/a/b@"}},
		"by digest of the spec's": {in: actions.Inputs{Outputs: []string{"type=registry,push-by-digest=true"}}, pushed: []string{"example.com/acme/spec@"}},
		"names of two lines":      {in: actions.Inputs{Tags: []string{tag}, Outputs: []string{"type=registry,name=example.com/x:1", `type=registry,"name=example.com/y:1,example.com/x:1"`}}, pushed: []string{"example.com/x:1", "example.com/y:1"}},
		// As buildx has it: push is for each image line, and one of its own only where there is none.
		"push and an image line": {in: actions.Inputs{Push: true, Tags: []string{tag}, Outputs: []string{prod}}, pushed: []string{"example.com/prod:v1"}},
		"push and a file":        {in: actions.Inputs{Push: true, Tags: []string{tag}, Outputs: []string{"type=oci,dest=x,name=example.com/file:1"}}, pushed: []string{tag}, others: [][]string{{"example.com/file:1"}}},
		"load and an image line": {in: actions.Inputs{Load: true, Tags: []string{tag}, Outputs: []string{"type=registry,name=example.com/x:1"}}, pushed: []string{"example.com/x:1"}, others: [][]string{{tag}}},
		"empty tags and a file":  {in: actions.Inputs{Tags: []string{}, Outputs: []string{"type=oci,dest=x"}}, others: [][]string{nil}},
	} {
		r, err := newRequest(buildOptions{Inputs: c.in}, wantedOf())
		if err != nil {
			t.Errorf("%s: %v", title, err)
			continue
		}
		if diff := cmp.Diff(c.pushed, texts(r.pushed())); diff != "" {
			t.Errorf("%s: pushed (-want +got):\n%s", title, diff)
		}
		var others [][]string
		for _, p := range r.publications {
			if !p.Push {
				others = append(others, texts(p.names))
			}
		}
		if diff := cmp.Diff(c.others, others); diff != "" {
			t.Errorf("%s: the others (-want +got):\n%s", title, diff)
		}
	}
}

// One line's registry.insecure is for its own hosts.
func TestInsecureIsOfOneLine(t *testing.T) {
	in := actions.Inputs{Tags: []string{"general.example/a/b:1"}, Outputs: []string{
		"type=registry,registry.insecure=true,name=plain.example/a:1", "type=registry", "type=registry,name=other.example/a:1",
		"type=image,registry.insecure=true,name=unpushed.example/a:1",
	}}
	r, err := newRequest(buildOptions{Inputs: in}, wantedOf())
	if err != nil {
		t.Fatal(err)
	}
	hosts, err := r.insecureHosts()
	if diff := cmp.Diff([]string{"plain.example"}, hosts); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// A host that one line wants to be secure stays so, whatever its port and spelling.
func TestInsecureIsNotForTheHostsOfOtherLines(t *testing.T) {
	for other, agree := range map[string]bool{"plain.example/b": false, "plain.example:8443/b": false, "PLAIN.example/b": false, "other.example/b": true} {
		in := actions.Inputs{Outputs: []string{"type=registry,registry.insecure=true,name=plain.example/a", "type=registry,name=" + other}}
		if _, err := newRequest(buildOptions{Inputs: in}, wantedOf()); (err == nil) != agree {
			t.Errorf("%s: %v", other, err)
		}
	}
}

// What is pushed names a registry or an owner, or docker's library in full.
func TestShortNames(t *testing.T) {
	for text, wantPush := range map[string]bool{
		"latest": false, "v2": false, "ubuntu": false, "ubuntu:24.04": false, "library/v2": false, "docker.io/v2": false, "index.docker.io/v2:1": false,
		"docker.io/library/v2": true, "docker.io/library/v2:x": true, "index.docker.io/library/v2": true,
		"alice/app:v1": true, "docker.io/alice/app": true, "ghcr.io/app": true, "localhost/app": true, "localhost:5000/app:1": true,
	} {
		tags, err := parseTags([]string{text})
		if err != nil {
			t.Fatal(err)
		}
		if err := checkPlaces(tags, true); (err == nil) != wantPush {
			t.Errorf("%s pushed: %v", text, err)
		}
		// A file or daemon may have a short name.
		word := strings.HasPrefix(text, "v2") || text == "latest"
		if err := checkPlaces(tags, false); (err != nil) != word {
			t.Errorf("%s in a file: %v", text, err)
		}
	}
}

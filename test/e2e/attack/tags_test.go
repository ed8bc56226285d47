//go:build e2e

package attack

import (
	"encoding/json"
	"strings"
	"testing"
)

// step runs the program as the shim does, with inputs.
func (u *user) step(t *testing.T, dir string, inputs map[string]string) ran {
	t.Helper()
	in := &user{home: u.home, env: append([]string{"GITHUB_WORKSPACE=" + dir, "INPUT_CACHE-FROM=", "INPUT_CACHE-TO="}, u.env...)}
	for name, value := range inputs {
		in.env = append(in.env, "INPUT_"+strings.ToUpper(name)+"="+value)
	}
	return in.run(t, dir, binary, "action")
}

// A pull request's metadata has no tag. A step that would push then pushes nothing, and fails: the tags of the spec, latest among
// them, are those of production.
func TestNoTagIsNotLatest(t *testing.T) {
	metadata, err := json.Marshal(map[string]any{"tags": []string{}, "labels": map[string]string{"a": "b"}, "annotations": []string{}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tags := range map[string]string{
		"docker/metadata-action has none": string(metadata), "blanks": "  ", "an empty line": "\n", "blank lines": " \n\t\n", "commas": ",,", "a quoted nothing": `""`,
	} {
		t.Run(name, func(t *testing.T) {
			u, r := newUser(t), startRegistry(t)
			dir := t.TempDir()
			write(t, dir, map[string]string{"nixery.yaml": outputsSpec + "repository: " + r.address + "/acme/app\n", "set.nix": set(salt())})
			run := u.step(t, dir, map[string]string{"push": "true", "tags": tags}).fails(t)
			if pushed := r.repositories(t); len(pushed) != 0 {
				t.Errorf("%q were pushed:\n%s", pushed, run.said)
			}
		})
	}
}

// A word alone is meant as a tag, and is no repository of Docker Hub.
func TestWordIsNoRepository(t *testing.T) {
	for _, tag := range []string{"latest", "v2", "1.2.3", "main", "pr-17"} {
		t.Run(tag, func(t *testing.T) {
			u := newUser(t)
			dir := t.TempDir()
			write(t, dir, map[string]string{"nixery.yaml": outputsSpec + "repository: 127.0.0.1:1/acme/app\n", "set.nix": set(salt())})
			step := u.step(t, dir, map[string]string{"push": "true", "tags": tag}).fails(t)
			command := u.build(t, dir, "--push", "--tag", tag).fails(t)
			for _, run := range []ran{step, command} {
				if strings.Contains(run.said, "index.docker.io/v2") || strings.Contains(run.said, "evaluating") {
					t.Errorf("Docker Hub was asked, or work was done:\n%s", run.said)
				}
				if !strings.Contains(run.said, ":"+tag) {
					t.Errorf("no reference with this tag is proposed:\n%s", run.said)
				}
			}
		})
	}
}

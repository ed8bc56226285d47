package spec

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func load(t *testing.T, file string) *Spec {
	t.Helper()
	s, err := Load(filepath.Join(specs, file), workflow)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLoadShortest(t *testing.T) {
	file := filepath.Join(specs, "shortest.yaml")
	want := &Spec{
		File:    file,
		Version: 1,
		Nixpkgs: Nixpkgs{Channel: "nixos-unstable"},
		Images: []Image{{
			Name:          "image",
			Pos:           Position{1, 1},
			Tags:          []string{"latest"},
			Packages:      []string{"git", "curl"},
			PackagePos:    []Position{{1, 12}, {1, 17}},
			Architectures: []string{"amd64", "arm64"}, ArchitecturePos: []Position{{2, 17}, {2, 24}},
			Layers: Layers{Budget: 94, Compression: "gzip", Level: 6, Popularity: "embedded"},
			Format: Docker,
		}},
	}
	if diff := cmp.Diff(want, load(t, "shortest.yaml")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestLoadSingle(t *testing.T) {
	s := load(t, "single.yaml")
	img := s.Images[0]
	if len(s.Images) != 1 || img.Name != "toolbox" || img.Pos != (Position{1, 1}) {
		t.Errorf("one image toolbox wanted, not %v", s.Images)
	}
	want := []string{"latest", "0123456789abcdef0123456789abcdef01234567"}
	if diff := cmp.Diff(want, img.Tags); diff != "" {
		t.Errorf("tags, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"amd64"}, img.Architectures); diff != "" {
		t.Errorf("architectures, -want +got:\n%s", diff)
	}
	if s.Nixpkgs.Channel != "nixos-25.11" {
		t.Errorf("channel %q", s.Nixpkgs.Channel)
	}
}

func TestLoadWhole(t *testing.T) {
	directory, err := filepath.Abs(specs)
	if err != nil {
		t.Fatal(err)
	}
	want := &Spec{
		File:    filepath.Join(specs, "whole.yaml"),
		Version: 1,
		Nixpkgs: Nixpkgs{
			Pos: Position{3, 3},
			Git: &Git{URL: "https://git.example.org/pkgs.git", Ref: "main", Rev: "0123456789abcdef0123456789abcdef01234567"},
			Config: map[string]any{
				"allowUnfree":               true,
				"permittedInsecurePackages": []any{"openssl-1.1.1w"},
				"cudaCapability":            8.6,
				"jobs":                      4,
				"nothing":                   nil,
			},
			Overlays: []string{filepath.Join(directory, "overlay.nix"), filepath.Join(filepath.Dir(directory), "shared.nix")},
		},
		Images: []Image{{
			Name: "toolbox",
			Pos:  Position{12, 3}, RepositoryPos: Position{13, 17}, PopularityPos: Position{32, 19},
			Repository:    "ghcr.io/acme/toolbox",
			Tags:          []string{"latest", "0123456789abcdef0123456789abcdef01234567", "run-7"},
			Packages:      []string{"shell", "git", "python3Packages.requests"},
			PackagePos:    []Position{{15, 16}, {15, 23}, {15, 28}},
			Architectures: []string{"amd64", "arm64"}, ArchitecturePos: []Position{{16, 21}, {16, 28}},
			Config: Config{
				Entrypoint: []string{"/bin/bash", "-c"}, EntrypointPos: Position{18, 19},
				Cmd: []string{"git --version; echo $HOME"}, CmdPos: Position{19, 12},
				Env:        map[string]string{"GREETING": "${HOME} stays as it is", "EMPTY": ""},
				WorkingDir: "/srv",
				User:       "1000:1000", UserPos: Position{22, 13},
				ExposedPorts: []string{"8080/tcp", "53/udp"},
				Volumes:      []string{"/data"},
				Labels: map[string]string{
					"org.opencontainers.image.revision": "0123456789abcdef0123456789abcdef01234567",
					"price":                             "$5",
				},
				StopSignal: "SIGTERM",
			},
			Layers: Layers{
				Budget: 40, Compression: "gzip", Level: 9,
				Popularity: filepath.Join(filepath.Dir(directory), "table.json"), PopularitySHA256: strings.Repeat("0a", 32),
			},
			Format: Docker,
		}, {
			Name: "small.image_2",
			Pos:  Position{34, 3}, PopularityPos: Position{37, 45},
			Tags:          []string{"latest"},
			Packages:      []string{"7zz", "builder"},
			PackagePos:    []Position{{35, 16}, {35, 23}},
			Architectures: []string{"amd64"},
			Layers:        Layers{Budget: 94, Compression: "zstd", Level: 3, Popularity: "none"},
			Format:        OCI,
		}},
	}
	if diff := cmp.Diff(want, load(t, "whole.yaml")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The spec's directory is escaped where it becomes part of a URL, and only there.
func TestFlakeBesideASpecInAnOddDirectory(t *testing.T) {
	odd := filepath.Join(t.TempDir(), "a b%#?c")
	for ref, want := range map[string]string{
		"./x":          filepath.Join(odd, "x"),
		"path:./x%20y": "path:" + filepath.Dir(odd) + "/a%20b%25%23%3Fc/x%20y",
	} {
		s, err := Parse(filepath.Join(odd, "x.yaml"), []byte("nixpkgs: {flake: '"+ref+"'}\npackages: [git]\n"), nil)
		if err != nil || s.Nixpkgs.Flake != want {
			t.Errorf("%s: %v, %v", ref, s, err)
		}
	}
}

func TestPathsAreBesideTheSpec(t *testing.T) {
	directory, err := filepath.Abs(specs)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := load(t, "path.yaml").Nixpkgs.Path, filepath.Join(filepath.Dir(directory), "packages"); got != want {
		t.Errorf("path %q, want %q", got, want)
	}
	for ref, want := range map[string]string{
		"./flake":                     filepath.Join(directory, "flake"),
		"../flake":                    filepath.Join(filepath.Dir(directory), "flake"),
		".":                           directory,
		"..":                          filepath.Dir(directory),
		".?dir=a/../b":                directory + "?dir=a/../b",
		"./a?submodules=1":            filepath.Join(directory, "a") + "?submodules=1",
		"path:..?dir=a":               "path:" + filepath.Dir(directory) + "?dir=a",
		"path:./flake":                "path:" + filepath.Join(directory, "flake"),
		"/flake":                      "/flake",
		"github:owner/repo/x?dir=a":   "github:owner/repo/x?dir=a",
		"git+https://example.org/x":   "git+https://example.org/x",
		"git+ssh://git@example.org/x": "git+ssh://git@example.org/x",
	} {
		text := "nixpkgs: {flake: '" + ref + "'}\npackages: [git]\n"
		s, err := Parse(filepath.Join(specs, "x.yaml"), []byte(text), nil)
		if err != nil {
			t.Errorf("flake %q: %v", ref, err)
		} else if s.Nixpkgs.Flake != want {
			t.Errorf("flake %q became %q, want %q", ref, s.Nixpkgs.Flake, want)
		}
	}
}

func TestLoadUnreadable(t *testing.T) {
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "near.yml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		filepath.Join(directory, "none.yaml"): "none.yaml: there is no such file; name the spec, or write one. The shortest that works:\n\n" + shortest,
		filepath.Join(directory, "near.yaml"): "near.yaml: there is no such file, but there is near.yml; name or rename that",
		directory:                             ": reading the spec: it is not a regular file but a directory",
	} {
		s, err := Load(file, workflow)
		if s != nil || err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("Load = %v, %v; want …%s", s, err, want)
		}
		var one Error
		if _, ok := errors.AsType[Errors](err); !ok || !errors.As(err, &one) || one.File != file || one.Line != 0 {
			t.Errorf("%#v is not the Errors wanted", err)
		}
	}
}

func TestShortestWorks(t *testing.T) {
	text := strings.ReplaceAll(shortest, "    ", "")
	if _, err := Parse("nixery.yaml", []byte(text), nil); err != nil {
		t.Error(err)
	}
}

func TestParseBoundsSize(t *testing.T) {
	text := "packages: [git]\n#" + strings.Repeat("x", maxSize)
	_, err := Parse("nixery.yaml", []byte(text), nil)
	if want := "nixery.yaml:1:1: the spec is larger than 1024 KiB"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if _, err := Parse("nixery.yaml", []byte(text)[:maxSize], nil); err != nil {
		t.Errorf("a spec of just the size: %v", err)
	}
}

func TestParseBoundsDepth(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("[", maxSize/2),
		"nixpkgs: {config: {a: " + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}}",
	} {
		_, err := Parse("nixery.yaml", []byte(text), nil)
		if err == nil || !strings.Contains(err.Error(), "exceeded max depth") {
			t.Errorf("error %.200v", err)
		}
	}
}

// A variable's value is used as it is, not expanded again.
func TestExpandOnce(t *testing.T) {
	env := func(name string) (string, bool) { return "${GITHUB_ACTOR} $$ ${HOME}\n", true }
	text := "packages: [git]\nconfig: {labels: {a: 'x$$${GITHUB_REF}$$'}}\n"
	s, err := Parse("nixery.yaml", []byte(text), env)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.Images[0].Config.Labels["a"], "x$${GITHUB_ACTOR} $$ ${HOME}\n$"; got != want {
		t.Errorf("label %q, want %q", got, want)
	}
}

func TestSelect(t *testing.T) {
	s := load(t, "whole.yaml")
	for _, test := range []struct{ names, want string }{
		{"", "toolbox small.image_2"},
		{"small.image_2", "small.image_2"},
		{"small.image_2 toolbox toolbox", "toolbox small.image_2"},
	} {
		images, err := s.Select(strings.Fields(test.names))
		var names []string
		for _, img := range images {
			names = append(names, img.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != test.want {
			t.Errorf("Select(%s) = %s, %v; want %s", test.names, got, err, test.want)
		}
	}
}

func TestSelectUnknown(t *testing.T) {
	images, err := load(t, "whole.yaml").Select([]string{"tolbox", "toolbox", "x"})
	file := filepath.Join(specs, "whole.yaml")
	want := file + `: there is no image "tolbox"; did you mean "toolbox"?` + "\n" +
		file + `: there is no image "x"; known: toolbox, small.image_2`
	if images != nil || err == nil || err.Error() != want {
		t.Errorf("Select = %v, %v; want %s", images, err, want)
	}
	if _, ok := errors.AsType[Errors](err); !ok {
		t.Errorf("errors.As finds no Errors in %T", err)
	}
}

func TestParseBoundsErrors(t *testing.T) {
	text := "packages: [git]\n" + strings.Repeat("1: x\n", 250)
	_, err := Parse("nixery.yaml", []byte(text), nil)
	errs, _ := errors.AsType[Errors](err)
	want := Error{"nixery.yaml", 202, 1, "here and below are 50 more errors"}
	if len(errs) != 201 || errs[200] != want {
		t.Errorf("%d errors, the last one %v", len(errs), errs[len(errs)-1])
	}
}

func TestDefaultChannelBesideConfig(t *testing.T) {
	s, err := Parse("nixery.yaml", []byte("nixpkgs: {config: {allowUnfree: true}}\npackages: [git]\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Nixpkgs{Channel: "nixos-unstable", Config: map[string]any{"allowUnfree": true}}
	if diff := cmp.Diff(want, s.Nixpkgs); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNilEnvironmentHasNoVariables(t *testing.T) {
	_, err := Parse("nixery.yaml", []byte("packages: [git]\ntags: ['${GITHUB_SHA}']\n"), nil)
	want := "nixery.yaml:2:8: tags: ${GITHUB_SHA} is not set; GitHub sets it in a workflow, and elsewhere you can: export GITHUB_SHA=…"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

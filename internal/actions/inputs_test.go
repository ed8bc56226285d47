package actions

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func step(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
}

// defaults are the inputs of a step that sets none, without the runner's own defaults.
var defaults = Inputs{InstallNix: "auto", Summary: true}

func TestReadInputs(t *testing.T) {
	got, err := ReadInputs(step(map[string]string{
		"INPUT_FILE":          " nixery.yaml ",
		"INPUT_CONTEXT":       "images",
		"INPUT_IMAGES":        "a,b",
		"INPUT_PACKAGES":      "git curl,jq\n\n python3Packages.requests ",
		"INPUT_NIXPKGS":       "github:acme/pkgs?ref=a b",
		"INPUT_TAGS":          "ghcr.io/a/b:1, ghcr.io/a/b:2\n\n  ghcr.io/a/b:3\r\n",
		"INPUT_PLATFORMS":     "linux/amd64,linux/arm64",
		"INPUT_PUSH":          "True",
		"INPUT_LOAD":          "true",
		"INPUT_VERIFY":        "true",
		"INPUT_OUTPUTS":       "type=oci,dest=out\n\"dest=a,b.tar\",type=docker\n",
		"INPUT_LABELS":        "a=x, y\n\"b=two\nlines\"\nc={\"k\":1,\"l\":2}",
		"INPUT_ANNOTATIONS":   "a=b\nmanifest,index:c=d, e",
		"INPUT_METADATA-FILE": "meta data.json",
		"INPUT_INSTALL-NIX":   "never",
		"INPUT_SUMMARY":       "false",
		"INPUT_COMMENT":       "true",
		"INPUT_GITHUB-TOKEN":  "ghs_x",
	}))
	want := Inputs{
		File:         "nixery.yaml",
		Context:      "images",
		Images:       []string{"a", "b"},
		Packages:     []string{"git", "curl", "jq", "python3Packages.requests"},
		Nixpkgs:      "github:acme/pkgs?ref=a b",
		Tags:         []string{"ghcr.io/a/b:1", "ghcr.io/a/b:2", "ghcr.io/a/b:3"},
		Platforms:    []string{"linux/amd64", "linux/arm64"},
		Push:         true,
		Load:         true,
		Verify:       true,
		Outputs:      []string{"type=oci,dest=out", `"dest=a,b.tar",type=docker`},
		Labels:       []string{"a=x, y", "b=two\nlines", `c={"k":1,"l":2}`},
		Annotations:  []string{"a=b", "manifest,index:c=d, e"},
		MetadataFile: "meta data.json",
		InstallNix:   "never",
		Comment:      true,
		GitHubToken:  "ghs_x",
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v; -want +got:\n%s", err, diff)
	}
	if secrets := got.Secrets(); !slices.Equal(secrets, []string{"ghs_x"}) {
		t.Errorf("the secrets are %q", secrets)
	}
}

func TestReadInputsEmpty(t *testing.T) {
	got, err := ReadInputs(step(nil))
	if diff := cmp.Diff(defaults, got); err != nil || diff != "" {
		t.Errorf("%v; -want +got:\n%s", err, diff)
	}
	if secrets := got.Secrets(); len(secrets) > 0 {
		t.Errorf("the secrets are %q", secrets)
	}
}

func TestReadInputsReportsAllThatIsBad(t *testing.T) {
	got, err := ReadInputs(step(map[string]string{
		"INPUT_PUSH": "yes", "INPUT_LABELS": "a=b\n\"c=d\n", "INPUT_TAGS": `"x`, "INPUT_INSTALL-NIX": "no",
		"INPUT_FILE": "a\nb", "INPUT_CONTEXT": "here", "INPUT_ANNOTATIONS": "{x",
	}))
	want := `input "file": "a\nb" is no path; want one, on a line
input "tags": an item begins with a quotation mark that nothing closes; close it, or write "" for the mark itself
input "labels": an item begins with a quotation mark that nothing closes; close it, or write "" for the mark itself
input "annotations": it begins as JSON, but is none: invalid character 'x' looking for beginning of object key string
input "push": "yes" is not a boolean; write true or false
input "install-nix": "no" is not one of auto, never`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
	var bad *InputError
	if !errors.As(err, &bad) || bad.Input != "file" {
		t.Errorf("no InputError in %#v", err)
	}
	if got.Context != "here" {
		t.Errorf("beside bad inputs a good one is %q", got.Context)
	}
}

func TestBooleans(t *testing.T) {
	for value, want := range map[string]bool{
		"true": true, "True": true, "TRUE": true, " true ": true,
		"false": false, "False": false, "FALSE": false, "": false,
	} {
		got, err := ReadInputs(step(map[string]string{"INPUT_PUSH": value}))
		if err != nil || got.Push != want {
			t.Errorf("%q: got %v, %v", value, got.Push, err)
		}
	}
	for _, value := range []string{"tRUE", "1", "0", "no", "on", "true false"} {
		if _, err := ReadInputs(step(map[string]string{"INPUT_PUSH": value})); err == nil {
			t.Errorf("%q passes for a boolean", value)
		}
	}
}

func TestLists(t *testing.T) {
	for _, tc := range []struct {
		text         string
		commas, line []string
	}{
		{"", nil, nil},
		{" \n,\n ,", nil, []string{",", ","}},
		{"a,b\nc", []string{"a", "b", "c"}, []string{"a,b", "c"}},
		{"a , b ", []string{"a", "b"}, []string{"a , b"}},
		{`"a,b",c`, []string{"a,b", "c"}, nil},
		{"\"a\nb\"\nc", []string{"a\nb", "c"}, []string{"a\nb", "c"}},
		{`"say ""hi"""`, []string{`say "hi"`}, []string{`say "hi"`}},
		{`k="v"`, []string{`k="v"`}, []string{`k="v"`}},
		{"a\r\nb\r\n", []string{"a", "b"}, []string{"a", "b"}},
		{`"a" b`, nil, nil},
		{`"a`, nil, nil},
	} {
		commas, err1 := commaList(tc.text)
		line, err2 := lineList(tc.text)
		if !slices.Equal(commas, tc.commas) || !slices.Equal(line, tc.line) {
			t.Errorf("%q: got %q and %q (%v, %v)", tc.text, commas, line, err1, err2)
		}
		bad := strings.HasPrefix(tc.text, `"`) && tc.commas == nil
		if (err1 != nil) != bad {
			t.Errorf("%q: error %v", tc.text, err1)
		}
	}
}

// The outputs of docker/metadata-action are taken as they come; its json output has a part for each of three inputs.
func TestInputsFromMetadataAction(t *testing.T) {
	const json = `{"tags":["ghcr.io/a/b:1","ghcr.io/a/b:latest"],"tag-names":["1","latest"],` +
		`"labels":{"org.opencontainers.image.title":"b","org.opencontainers.image.description":"one, two\nthree=3"},` +
		`"annotations":["manifest:org.opencontainers.image.title=b","index:a=b=c"]}`
	got, err := ReadInputs(step(map[string]string{"INPUT_TAGS": json, "INPUT_LABELS": json, "INPUT_ANNOTATIONS": json}))
	want := defaults
	want.Tags = []string{"ghcr.io/a/b:1", "ghcr.io/a/b:latest"}
	want.Labels = []string{"org.opencontainers.image.description=one, two\nthree=3", "org.opencontainers.image.title=b"}
	want.Annotations = []string{"manifest:org.opencontainers.image.title=b", "index:a=b=c"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v; -want +got:\n%s", err, diff)
	}
	// Others read what they are given.
	got, err = ReadInputs(step(map[string]string{"INPUT_OUTPUTS": `{"outputs":["a"]}`, "INPUT_GITHUB-TOKEN": "a\nb"}))
	if err != nil || !slices.Equal(got.Outputs, []string{`{"outputs":["a"]}`}) || got.GitHubToken != "a\nb" {
		t.Errorf("got %q, %q, %v", got.Outputs, got.GitHubToken, err)
	}
	for text, problem := range map[string]string{
		`{"labels":{}}`: `the JSON has no key "tags"; want the output json of docker/metadata-action, or a list`,
		`{"tags":[1]}`:  "its part of the JSON is neither a list of strings nor an object of strings",
		`{"tags":[]`:    "it begins as JSON, but is none: unexpected end of JSON input",
	} {
		if _, err := ReadInputs(step(map[string]string{"INPUT_TAGS": text})); err == nil || err.Error() != `input "tags": `+problem {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

// Every row of the table is whole, reads an input of its own, and is fit for YAML and Markdown as it is.
func TestInputTable(t *testing.T) {
	var read []string
	_, err := ReadInputs(func(name string) (string, bool) { read = append(read, name); return "", false })
	if err != nil {
		t.Fatal(err)
	}
	fields := map[any]string{}
	var inputs Inputs
	for i, row := range InputTable() {
		if want := "INPUT_" + strings.ToUpper(row.Name); read[i] != want {
			t.Errorf("row %d reads %s, not %s", i, read[i], want)
		}
		if other, taken := fields[row.field(&inputs)]; taken {
			t.Errorf("%s and %s read into one field", row.Name, other)
		}
		fields[row.field(&inputs)] = row.Name
		checkRow(t, row.Name, row.Description)
		if !strings.HasPrefix(row.Default, "${{") && row.read(row.Default, &Inputs{}) != nil {
			t.Errorf("%s: its default %q is no value for it", row.Name, row.Default)
		}
	}
	if want := reflect.TypeFor[Inputs]().NumField(); len(fields) != want {
		t.Errorf("%d fields are read, of %d", len(fields), want)
	}
}

func TestOutputTable(t *testing.T) {
	var outputs Outputs
	fields := reflect.ValueOf(&outputs).Elem()
	for i := range fields.NumField() {
		fields.Field(i).SetString(fields.Type().Field(i).Name)
	}
	seen := map[string]string{}
	for _, row := range OutputTable() {
		checkRow(t, row.Name, row.Description)
		seen[row.value(outputs)] = row.Name
	}
	if len(seen) != fields.NumField() || len(seen) != len(OutputTable()) {
		t.Errorf("of %d fields and %d rows these agree: %v", fields.NumField(), len(OutputTable()), seen)
	}
}

func checkRow(t *testing.T, name, description string) {
	t.Helper()
	if name == "" || !strings.HasSuffix(description, ".") || strings.ContainsAny(description, "`*_<>\n") {
		t.Errorf("%q: is %q a sentence, without Markdown?", name, description)
	}
}

func TestWordList(t *testing.T) {
	for text, want := range map[string][]string{
		"":                     nil,
		" a  b\tc ":            {"a", "b", "c"},
		"a,b , c\r\nd\n\n e f": {"a", "b", "c", "d", "e", "f"},
		`"a b", c`:             {"a", "b", "c"},
	} {
		if got, err := wordList(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
}

func TestFlagOf(t *testing.T) {
	for input, want := range map[string]string{"tags": "--tag", "push": "--push", "metadata-file": "--metadata-file"} {
		if got := FlagOf(input); got != want {
			t.Errorf("%s: got %s, want %s", input, got, want)
		}
	}
}

func TestDetect(t *testing.T) {
	env := map[string]string{"GITHUB_OUTPUT": "/o", "GITHUB_STEP_SUMMARY": "/s", "RUNNER_DEBUG": "1", "RUNNER_TEMP": "/t", "GITHUB_WORKSPACE": "/w"}
	if got := Detect(func(name string) string { return env[name] }); got != (Environment{}) {
		t.Errorf("away from a workflow: %+v", got)
	}
	env["GITHUB_ACTIONS"] = "true"
	want := Environment{InActions: true, Debug: true, OutputFile: "/o", SummaryFile: "/s", TempDir: "/t", Workspace: "/w"}
	if got := Detect(func(name string) string { return env[name] }); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A list of tags that a step before gave, and that is empty, is not one that is not given.
func TestTagsGivenEmpty(t *testing.T) {
	for _, text := range []string{"", " ", "\n", ",", " ,\n, \r\n", `{"tags":[]}`, `{"tags":null}`, `{"tags":["", " "]}`, `""`} {
		got, err := ReadInputs(step(map[string]string{"INPUT_TAGS": text}))
		if err != nil || got.Tags == nil || len(got.Tags) != 0 {
			t.Errorf("%q: %#v, %v; want an empty list that is not nil", text, got.Tags, err)
		}
	}
	for name, env := range map[string]map[string]string{"unset": nil, "default": {"INPUT_TAGS": "of the spec"}} {
		if got, err := ReadInputs(step(env)); err != nil || got.Tags != nil {
			t.Errorf("%s: %#v, %v; want nil", name, got.Tags, err)
		}
	}
}

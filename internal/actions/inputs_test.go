package actions

import (
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

func step(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

func TestReadInputs(t *testing.T) {
	got, err := ReadInputs(step(map[string]string{
		"INPUT_FILE":         " nixery.yaml ",
		"INPUT_TAGS":         "ghcr.io/a/b:1, ghcr.io/a/b:2\n\n  ghcr.io/a/b:3\r\n",
		"INPUT_PLATFORMS":    "linux/amd64,linux/arm64",
		"INPUT_PUSH":         "True",
		"INPUT_VERIFY":       "true",
		"INPUT_OUTPUTS":      "type=oci,dest=out\n\"dest=a,b.tar\",type=docker\n",
		"INPUT_LABELS":       "a=x, y\n\"b=two\nlines\"\nc={\"k\":1,\"l\":2}",
		"INPUT_GITHUB-TOKEN": "ghs_x",
	}))
	want := Inputs{
		File:        "nixery.yaml",
		Tags:        []string{"ghcr.io/a/b:1", "ghcr.io/a/b:2", "ghcr.io/a/b:3"},
		Platforms:   []string{"linux/amd64", "linux/arm64"},
		Push:        true,
		Verify:      true,
		Outputs:     []string{"type=oci,dest=out", `"dest=a,b.tar",type=docker`},
		Labels:      []string{"a=x, y", "b=two\nlines", `c={"k":1,"l":2}`},
		GitHubToken: "ghs_x",
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

func TestReadInputsEmpty(t *testing.T) {
	got, err := ReadInputs(step(nil))
	if err != nil || !reflect.DeepEqual(got, Inputs{}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestReadInputsReportsAllThatIsBad(t *testing.T) {
	_, err := ReadInputs(step(map[string]string{"INPUT_PUSH": "yes", "INPUT_LABELS": "a=b\n\"c=d\n", "INPUT_TAGS": `"x`}))
	want := `input "tags": an item begins with a quotation mark that nothing closes; close it, or write "" for the mark itself
input "push": "yes" is not a boolean; write true or false
input "labels": an item begins with a quotation mark that nothing closes; close it, or write "" for the mark itself`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
	var bad *InputError
	if !errors.As(err, &bad) || bad.Input != "tags" {
		t.Errorf("no InputError in %#v", err)
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

// action.yml declares exactly the inputs that are read: the runner passes on no others,
// and an input that nothing reads would be a lie.
func TestInputsAreThoseOfActionYML(t *testing.T) {
	text, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var action struct {
		Inputs map[string]struct {
			Description string
			Default     string
		}
	}
	if err := yaml.Unmarshal(text, &action); err != nil {
		t.Fatal(err)
	}
	var declared, read []string
	env := map[string]string{}
	for name, input := range action.Inputs {
		declared = append(declared, "INPUT_"+strings.ToUpper(name))
		env[declared[len(declared)-1]] = input.Default
		if input.Description == "" {
			t.Errorf("input %q has no description", name)
		}
	}
	if _, err := ReadInputs(func(name string) string { read = append(read, name); return env[name] }); err != nil {
		t.Errorf("reading the defaults: %v", err)
	}
	slices.Sort(declared)
	slices.Sort(read)
	if !slices.Equal(declared, read) {
		t.Errorf("action.yml declares %q, ReadInputs reads %q", declared, read)
	}
}

func TestDetect(t *testing.T) {
	env := map[string]string{"GITHUB_OUTPUT": "/o", "GITHUB_STEP_SUMMARY": "/s", "RUNNER_DEBUG": "1", "RUNNER_TEMP": "/t", "GITHUB_WORKSPACE": "/w"}
	if got := Detect(step(env)); got != (Environment{}) {
		t.Errorf("away from a workflow: %+v", got)
	}
	env["GITHUB_ACTIONS"] = "true"
	want := Environment{InActions: true, Debug: true, OutputFile: "/o", SummaryFile: "/s", TempDir: "/t", Workspace: "/w"}
	if got := Detect(step(env)); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

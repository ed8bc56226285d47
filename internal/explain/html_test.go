package explain

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/org/nixery-action/internal/nix"
)

// hostile is what no store path can be called, and what might get in all the
// same: the writers do not rely on checks elsewhere.
const hostile = `x"><script>alert(1)</script><img src=//evil.example onerror='alert(2)'>\N{{.}}` + "\n\x1b[31m"

func hostilePlans() []Explanation {
	closure := small()
	for i := range closure.Paths {
		closure.Paths[i].Path += nix.StorePath(hostile)
		for j := range closure.Paths[i].References {
			closure.Paths[i].References[j] += nix.StorePath(hostile)
		}
	}
	e := explained(closure, 4)
	e.Image, e.Platform = hostile, hostile
	titled := explained(closure, 94)
	titled.Title = hostile
	return []Explanation{e, titled}
}

func writeHTML(t *testing.T, plans ...Explanation) (string, *html.Node) {
	t.Helper()
	var b bytes.Buffer
	if err := WriteHTML(&b, plans); err != nil {
		t.Fatal(err)
	}
	root, err := html.Parse(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), root
}

// elements is how often each element is there, and their attributes.
func elements(root *html.Node) (count map[string]int, attributes []html.Attribute) {
	count = map[string]int{}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			count[n.Data]++
			attributes = append(attributes, n.Attr...)
		}
	}
	return count, attributes
}

func TestHTMLEscapesNames(t *testing.T) {
	_, root := writeHTML(t, hostilePlans()...)
	count, attributes := elements(root)
	if count["script"] != 1 || count["img"] != 0 {
		t.Errorf("a name became an element: %v", count)
	}
	names := 0
	for _, a := range attributes {
		if strings.HasPrefix(a.Key, "on") || a.Key == "src" || a.Key == "style" {
			t.Errorf("there is an attribute %s=%q", a.Key, a.Val)
		}
		if a.Key == "href" && !regexp.MustCompile(`^#[a-z]+-[0-9-]+$`).MatchString(a.Val) {
			t.Errorf("there is a link to %q", a.Val)
		}
		if a.Key == "data-name" {
			names++
			if !strings.Contains(a.Val, "<script>alert(1)</script>") {
				t.Errorf("a name is lost: %q", a.Val)
			}
		}
	}
	if names != 4*len(small().Paths) {
		t.Errorf("%d cells and items, want one of each for each path of two plans", names)
	}
}

// The browser runs a script, and uses a style, only if the policy has its hash.
func TestHTMLPolicy(t *testing.T) {
	page, root := writeHTML(t, explained(small(), 4))
	var policy string
	for n := range root.Descendants() {
		if n.Data == "meta" && len(n.Attr) == 2 && n.Attr[0].Val == "Content-Security-Policy" {
			policy = n.Attr[1].Val
		}
	}
	for _, directive := range []string{"default-src 'none'", "base-uri 'none'", "form-action 'none'"} {
		if !strings.Contains(policy, directive) {
			t.Errorf("the policy %q lacks %s", policy, directive)
		}
	}
	for _, element := range []string{"script", "style"} {
		_, rest, _ := strings.Cut(page, "<"+element+">")
		text, _, found := strings.Cut(rest, "</"+element+">")
		if !found || !strings.Contains(policy, element+"-src "+hashOf(text)) {
			t.Errorf("the policy %q does not allow the %s that is there", policy, element)
		}
	}
}

// Without a script there is still all that there is to know.
func TestHTMLHasAllOfThePlan(t *testing.T) {
	e := explained(big(t), 20)
	_, root := writeHTML(t, e)
	count, attributes := elements(root)
	if want := 1 + 2 + 1 + 20; count["tr"] != want {
		t.Errorf("%d rows, want %d", count["tr"], want)
	}
	ids := map[string]bool{}
	for _, a := range attributes {
		if a.Key == "id" && ids[a.Val] {
			t.Errorf("two elements are called %s", a.Val)
		}
		ids[a.Val] = ids[a.Val] || a.Key == "id"
	}
	for _, a := range attributes {
		if a.Key == "href" && !ids[a.Val[1:]] {
			t.Errorf("a link leads to %s, which is nowhere", a.Val)
		}
	}
	texts := map[string]int{}
	for n := range root.Descendants() {
		if n.Type == html.TextNode {
			texts[n.Parent.Data+" "+n.Data]++
		}
	}
	for _, layer := range e.Layers {
		if texts["p "+layer.Why] == 0 {
			t.Errorf("the page does not say %q", layer.Why)
		}
		for _, p := range layer.Paths {
			if texts["code "+string(p)] != 1 {
				t.Errorf("%s is %d times in the table", p, texts["code "+string(p)])
			}
		}
	}
}

// What Graphviz reads: within quotes, no quote and no backslash stand alone.
func TestDOTEscapesNames(t *testing.T) {
	var b bytes.Buffer
	if err := WriteDOT(&b, hostilePlans()); err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile(`"(?:[^"\\\n]|\\["\\n])*"`)
	rest := strings.ReplaceAll(quoted.ReplaceAllString(b.String(), ""), " -> ", "")
	if strings.ContainsAny(rest, `"\<>'/`) {
		t.Errorf("a name got out of its quotes:\n%s", rest)
	}
}

func TestTableShowsNoControlCharacters(t *testing.T) {
	var b bytes.Buffer
	if err := WriteTable(&b, hostilePlans()); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsRune(b.String(), '\x1b') {
		t.Errorf("a name speaks to the terminal: %q", b.String())
	}
}

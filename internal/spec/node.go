package spec

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/org/nixery-action/internal/suggest"
)

// decoder reads the nodes of one file and gathers what is wrong with them.
// Reading goes on after an error, so that all are found in one go.
type decoder struct {
	file string
	env  func(name string) (string, bool)
	errs Errors
}

// fields are the keys that a mapping may have, with the reader of each value.
type fields map[string]func(value *yaml.Node)

// entry is one key of a mapping and its value.
type entry struct{ key, value *yaml.Node }

func (d *decoder) errorf(at *yaml.Node, format string, args ...any) {
	d.errs = append(d.errs, Error{d.file, at.Line, at.Column, fmt.Sprintf(format, args...)})
}

// wrong reports that what stands at n is not what is wanted there.
func (d *decoder) wrong(n *yaml.Node, what, want, hint string) {
	if n.Kind == yaml.AliasNode {
		// Resolved, a small file could grow without bound, and an error in
		// what is shared would have two places.
		d.errorf(n, "%s: the alias *%s is not read; write the value out", what, n.Value)
		return
	}
	d.errorf(n, "%s: want %s, found %s%s", what, want, describe(n), hint)
}

// mapping reads the mapping at n by its known keys. It returns the keys that
// are there; a misspelt key counts, lest it be reported as missing as well.
func (d *decoder) mapping(n *yaml.Node, what string, known fields) map[string]entry {
	given := map[string]entry{}
	names := slices.Sorted(maps.Keys(known))
	for _, e := range d.entries(n, what) {
		name := e.key.Value
		if read, ok := known[name]; ok {
			given[name] = e
			read(e.value)
			continue
		}
		if ours, hint := elsewhere(name, what, known); hint != "" {
			d.errorf(e.key, "unknown key %s in %s; %s", quote(name), what, hint)
			given[ours] = e
			continue
		}
		near := suggest.Nearest(name, names, 1)
		d.errorf(e.key, "unknown key %s in %s%s", quote(name), what, instead(near, names))
		for _, meant := range near {
			if _, ok := given[meant]; !ok {
				given[meant] = e
			}
		}
	}
	return given
}

// otherNames are keys of other tools (Dockerfile, compose, apko, bake), as letters only
// in lower case, and what a spec calls them.
var otherNames = map[string]string{
	"workdir": "working-dir", "workingdirectory": "working-dir", "workdirectory": "working-dir", "cwd": "working-dir",
	"ports": "exposed-ports", "port": "exposed-ports", "expose": "exposed-ports", "exposedports": "exposed-ports",
	"platforms": "architectures", "platform": "architectures", "archs": "architectures", "systems": "architectures",
	"contents": "packages", "content": "packages", "environment": "env", "command": "cmd",
}

// elsewhere returns our name of a key that exists under another name or in another mapping,
// and the hint that says so; both are empty for other keys.
//
//	workdir      in config    ▶ it is called working-dir here
//	entrypoint   at the top   ▶ it belongs under config, as in config: {entrypoint: …}
func elsewhere(key, what string, known fields) (ours, hint string) {
	ours, renamed := otherNames[strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(key))]
	if !renamed {
		ours = key
	}
	_, here := known[ours]
	_, inConfig := (&decoder{}).configFields(&Config{})[ours]
	_, holdsConfig := known["config"]
	_, holdsLayers := known["layers"]
	switch {
	case renamed && here:
		return ours, "it is called " + ours + " here"
	case inConfig && holdsConfig:
		return ours, "it belongs under config, as in config: {" + ours + ": …}"
	case holdsLayers && (ours == "budget" || ours == "compression" || ours == "popularity"):
		return ours, "it belongs under layers, as in layers: {" + ours + ": …}"
	case what == "config" && ours != key:
		return ours, "it is called " + ours + ", and is a key of the image"
	}
	return "", ""
}

// entries are the keys and values of the mapping at n, in the file's order, as
// far as the keys are strings and given once.
func (d *decoder) entries(n *yaml.Node, what string) []entry {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, what, "a mapping of keys to values", "")
		return nil
	}
	var entries []entry
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		e := entry{n.Content[i], n.Content[i+1]}
		name := e.key.Value
		switch line, twice := lines[name]; {
		case e.key.ShortTag() == "!!merge":
			d.errorf(e.key, "%s: merge keys (<<) are not read; write the keys out", what)
		case e.key.Kind != yaml.ScalarNode || e.key.ShortTag() != "!!str":
			d.wrong(e.key, "a key of "+what, "a string", quoteHint(e.key))
		case twice:
			d.errorf(e.key, "duplicate key %s in %s: it is on line %d already", quote(name), what, line)
		default:
			lines[name] = e.key.Line
			entries = append(entries, e)
		}
	}
	return entries
}

// list calls read for each item of the list at n, which may not be empty.
func (d *decoder) list(n *yaml.Node, what string, read func(item *yaml.Node)) {
	switch {
	case n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null":
		d.wrong(n, what, "a list", "; write ["+quote(n.Value)+"]")
	case n.Kind != yaml.SequenceNode:
		d.wrong(n, what, "a list", "")
	case len(n.Content) == 0:
		d.errorf(n, "%s: the list is empty; want at least one item", what)
	default:
		for _, item := range n.Content {
			read(item)
		}
	}
}

// set reads a list of words in which none may come twice. It returns them with
// their places; what check refuses is left out.
func (d *decoder) set(n *yaml.Node, what string, read func(*yaml.Node) (string, bool)) (words []string, places []Position) {
	lines := map[string]int{}
	d.list(n, what, func(item *yaml.Node) {
		word, ok := read(item)
		if !ok {
			return
		}
		if line, twice := lines[word]; twice {
			d.errorf(item, "%s: %s is on line %d already", what, quote(item.Value), line)
			return
		}
		lines[word] = item.Line
		words = append(words, word)
		places = append(places, Position{item.Line, item.Column})
	})
	return words, places
}

// check is a word's grammar: it refuses a word with an error that says what is
// wanted instead, and reads as the end of a sentence.
type check func(word string) error

// word reads a string that passes ok.
func (d *decoder) word(n *yaml.Node, what string, ok check) (string, bool) {
	if s, isText := d.text(n, what); isText && d.passes(n, what, s, ok) {
		return s, true
	}
	return "", false
}

// numberOrWord is word for what people write as a bare number, too.
func (d *decoder) numberOrWord(n *yaml.Node, what string, ok check) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" {
		return d.word(n, what, ok)
	}
	if d.passes(n, what, n.Value, ok) {
		return n.Value, true
	}
	return "", false
}

func (d *decoder) passes(n *yaml.Node, what, s string, ok check) bool {
	err := ok(s)
	if err != nil {
		d.errorf(n, "%s %s: %v", what, quote(s), err)
	}
	return err == nil
}

// text reads any string.
func (d *decoder) text(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		d.wrong(n, what, "a string", quoteHint(n))
		return "", false
	}
	if strings.ContainsRune(n.Value, 0) {
		d.errorf(n, "%s: the string holds a NUL character, which no program can be given", what)
		return "", false
	}
	return n.Value, true
}

// texts reads a list of any strings, the words of a command.
func (d *decoder) texts(n *yaml.Node, what string) []string {
	if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" {
		d.wrong(n, what, "a list", "; write "+commandOf(n.Value))
		return nil
	}
	var all []string
	d.list(n, what, func(item *yaml.Node) {
		if s, ok := d.text(item, what); ok {
			all = append(all, s)
		}
	})
	return all
}

// maxCommand is the longest command that a message takes apart, in bytes.
const maxCommand = 200

// commandOf is the list for a command that was written as one string: a word an
// item, as no shell takes the string apart. What only a shell understands is for one.
func commandOf(text string) string {
	words := strings.Fields(text)
	if strings.ContainsAny(text, "\"'\\$`|&;<>()*?[]{}~#") {
		words = []string{"/bin/sh", "-c", text}
	}
	for i, word := range words {
		words[i] = quote(word)
	}
	if len(words) == 0 || len(text) > maxCommand {
		return "[" + quote(text) + "]"
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// number reads a whole number from low to high.
func (d *decoder) number(n *yaml.Node, what string, low, high int) int {
	return d.numberOr(n, what, low, high, "")
}

// numberOr is number with a hint for the error's end.
func (d *decoder) numberOr(n *yaml.Node, what string, low, high int, hint string) int {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" {
		if i, err := strconv.Atoi(n.Value); err == nil && low <= i && i <= high {
			return i
		}
	}
	want := fmt.Sprintf("a whole number from %d to %d", low, high)
	if low == high {
		want = strconv.Itoa(low)
	}
	d.wrong(n, what, want, hint)
	return 0
}

// truth reads true or false.
func (d *decoder) truth(n *yaml.Node, what string) bool {
	var value bool
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Decode(&value) != nil {
		d.wrong(n, what, "true or false", "")
	}
	return value
}

// child is the value of key in the mapping at n, or n itself if there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return n
}

// describe names what stands at n, for the end of an error.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch tag := n.ShortTag(); tag {
	case "!!null":
		return "nothing"
	case "!!str":
		return "the string " + quote(n.Value)
	case "!!int", "!!float":
		return "the number " + clip(n.Value)
	case "!!bool":
		return "the boolean " + clip(n.Value)
	case "!!timestamp":
		return "the date " + clip(n.Value)
	default:
		return "a value with the tag " + quote(tag)
	}
}

func clip(s string) string { return strings.Trim(quote(s), `"`) }

// quoteHint is what to do about a string that YAML reads as something else.
func quoteHint(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		return ""
	}
	switch n.ShortTag() {
	case "!!int", "!!float", "!!bool", "!!timestamp", "!!null":
		return "; put it in quotes: " + quote(n.Value)
	}
	return ""
}

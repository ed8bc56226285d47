package logline

import (
	"regexp"
	"strings"
	"unicode"
)

// The control sequences of ECMA-48 §5.4 (colours, cursor) and the operating
// system commands of §5.6 (titles, links); Nix writes both.
var controlSequence = regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?")

// Clean returns text without terminal control sequences and without control
// characters other than newline and tab. What builders and registries say ends up on a
// terminal, where such bytes would be obeyed.
func Clean(text string) string {
	if !strings.ContainsFunc(text, unwanted) {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	text = controlSequence.ReplaceAllLiteralString(strings.ToValidUTF8(text, "\uFFFD"), "")
	return strings.Map(func(r rune) rune {
		if unwanted(r) {
			return -1
		}
		return r
	}, text)
}

func unwanted(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }

func oneLine(text string) string { return strings.Join(strings.Fields(Clean(text)), " ") }

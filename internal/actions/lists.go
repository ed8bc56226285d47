package actions

import (
	"errors"
	"regexp"
	"strings"
)

// A list is read as docker's actions read theirs
// (https://github.com/docker/actions-toolkit, Util.getList): CSV whose records are
// lines, blank items dropped, and blanks around items too.

var (
	quotedItem = regexp.MustCompile(`^"((?:[^"]|"")*)"[ \t\r]*(?:[,\n]|$)`)
	quotedLine = regexp.MustCompile(`^"((?:[^"]|"")*)"[ \t\r]*(?:\n|$)`)
)

var errQuote = errors.New(`an item begins with a quotation mark that nothing closes; close it, or write "" for the mark itself`)

// commaList separates at commas and line ends. Quotes keep both.
func commaList(text string) ([]string, error) { return items(text, quotedItem, ",\n") }

// wordList separates at blanks too, which no name of a package has.
func wordList(text string) ([]string, error) {
	list, err := commaList(text)
	var words []string
	for _, item := range list {
		words = append(words, strings.Fields(item)...)
	}
	return words, err
}

// lineList separates at line ends only. Quotes around an item keep them.
func lineList(text string) ([]string, error) { return items(text, quotedLine, "\n") }

// rawLines are lines whose quotes mean something to whoever reads them next.
func rawLines(text string) ([]string, error) {
	var list []string
	for line := range strings.Lines(text) {
		list = appendItem(list, line)
	}
	return list, nil
}

func items(text string, quoted *regexp.Regexp, separators string) ([]string, error) {
	var list []string
	for text != "" {
		text = strings.TrimLeft(text, " \t\r")
		if !strings.HasPrefix(text, `"`) {
			end := strings.IndexAny(text+"\n", separators)
			list = appendItem(list, text[:end])
			text = text[min(end+1, len(text)):]
			continue
		}
		match := quoted.FindStringSubmatch(text)
		if match == nil {
			return nil, errQuote
		}
		list = appendItem(list, strings.ReplaceAll(match[1], `""`, `"`))
		text = text[len(match[0]):]
	}
	return list, nil
}

func appendItem(list []string, item string) []string {
	if item = strings.TrimSpace(item); item != "" {
		list = append(list, item)
	}
	return list
}

// Package suggest turns a word that is not known into the known words that may
// have been meant. It stands apart because keys of the spec and attribute names
// of a package set are guessed alike. One word and one set of candidates always
// give one answer, whatever the order of the candidates.
package suggest

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
)

// minPrefix is the shortest word that says enough to stand for a longer one.
const minPrefix = 3

type guess struct {
	word     string
	distance int
}

// Nearest returns at most n of the candidates, those nearest to word first and ties
// by name, each once. Distance is Levenshtein's, ignoring case,
// with two letters that changed places counted once; a candidate is
// left out when it would take more edits than max(2, a third of word's length)
// to get there, unless word begins it. The answer is empty when nothing is near.
func Nearest(word string, candidates []string, n int) []string {
	lower := strings.ToLower(word)
	length := utf8.RuneCountInString(lower)
	limit := max(2, length/3)
	var guesses []guess
	for _, candidate := range candidates {
		if d, ok := distance(lower, length, limit, candidate); ok {
			guesses = append(guesses, guess{candidate, d})
		}
	}
	slices.SortFunc(guesses, func(a, b guess) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), strings.Compare(a.word, b.word))
	})
	guesses = slices.Compact(guesses)
	words := make([]string, 0, min(max(n, 0), len(guesses)))
	for _, g := range guesses[:cap(words)] {
		words = append(words, g.word)
	}
	return words
}

// distance measures one candidate, and reports whether it is near enough. The
// lengths are looked at first: most of a large set goes no further.
func distance(lower string, length, limit int, candidate string) (int, bool) {
	extra := utf8.RuneCountInString(candidate) - length
	if extra > limit {
		begun := length >= minPrefix && len(candidate) > len(lower) && strings.EqualFold(candidate[:len(lower)], lower)
		return limit, begun
	}
	if -extra > limit {
		return 0, false
	}
	folded := strings.ToLower(candidate)
	d := levenshtein.ComputeDistance(lower, folded)
	if d == 2 && extra == 0 && sorted(lower) == sorted(folded) {
		d = 1 // two letters changed places, which is one slip of the fingers
	}
	// A word of which nothing is left was not meant.
	return d, d <= limit && d < length
}

func sorted(s string) string {
	letters := []rune(s)
	slices.Sort(letters)
	return string(letters)
}

package cache

import (
	"strings"
	"testing"
)

func TestOwnWords(t *testing.T) {
	got := OwnWords("no\n::error::x token "+testToken+" at https://s/b?sig="+testSig+" "+strings.Repeat("é", 400), testToken)
	if strings.ContainsAny(got, "\n") || strings.Contains(got, testToken) || strings.Contains(got, testSig) || len([]rune(got)) > maxMessage+1 {
		t.Errorf("got %q", got)
	}
}

package redact

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
)

func TestEverySplit(t *testing.T) {
	const secret = "ghs_s3cr:t/+x"
	text := "token ghs_s3cr:t/+x and ghs_s3cr, twice ghs_ghs_s3cr:t/+x\nend g"
	want := "token *** and ghs_s3cr, twice ghs_***\nend g"
	for i := range len(text) {
		for j := i; j <= len(text); j++ {
			got := through(t, []string{secret}, text[:i], text[i:j], text[j:])
			if got != want {
				t.Fatalf("cut at %d and %d: got %q, want %q", i, j, got, want)
			}
		}
	}
}

func TestForms(t *testing.T) {
	const secret = `p%ss:"w o/rd"?`
	for _, tc := range []struct{ name, text string }{
		{"query", "https://x/?t=" + url.QueryEscape(secret)},
		{"path", "https://x/" + url.PathEscape(secret)},
		{"user info", (&url.URL{Scheme: "https", Host: "x", User: url.UserPassword("u", secret)}).String()},
		{"quoted", fmt.Sprintf("%q", secret)},
		{"workflow command", "::error::" + strings.ReplaceAll(secret, "%", "%25")},
		{"basic auth 0", base64.StdEncoding.EncodeToString([]byte("me:" + secret))},
		{"basic auth 1", base64.StdEncoding.EncodeToString([]byte("m:e:" + secret))},
		{"basic auth 2", base64.URLEncoding.EncodeToString([]byte("m:ee:" + secret))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := through(t, []string{secret}, tc.text)
			if !strings.Contains(got, "***") || len(got) > len(tc.text)-len(secret)+8 {
				t.Errorf("%q came out as %q", tc.text, got)
			}
		})
	}
}

func TestSecrets(t *testing.T) {
	for _, tc := range []struct {
		name       string
		secrets    []string
		text, want string
	}{
		{"one begins the other", []string{"abc", "abcdef"}, "abc abcdef abcde", "*** *** ***de"},
		{"lines of a key", []string{"-----KEY\nmiddle\n\n-----END\n"}, "a middle\n-----KEY\n", "a ***\n***\n"},
		{"blank", []string{"", " ", "\n"}, "a b\n", "a b\n"},
		{"none", nil, "a b\n", "a b\n"},
		{"short", []string{"x"}, "axb", "a***b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for i := range tc.text {
				if got := through(t, tc.secrets, tc.text[:i], tc.text[i:]); got != tc.want {
					t.Errorf("cut at %d: got %q, want %q", i, got, tc.want)
				}
			}
		})
	}
}

func TestLinesAreNotHeldBack(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b, "secret\nwords")
	fmt.Fprint(w, "ends in secre\n")
	if b.String() != "ends in secre\n" {
		t.Errorf("only %q was written", b.String())
	}
}

func TestAddLater(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	fmt.Fprintln(w, "token")
	w.Add("token")
	fmt.Fprintln(w, "token")
	if b.String() != "token\n***\n" {
		t.Errorf("got %q", b.String())
	}
}

type broken struct{}

var errBroken = errors.New("broken pipe")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteError(t *testing.T) {
	if _, err := NewWriter(broken{}, "s").Write([]byte("x")); !errors.Is(err, errBroken) {
		t.Errorf("got error %v", err)
	}
}

func through(t *testing.T, secrets []string, parts ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b, secrets...)
	for _, part := range parts {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("Write gave %d, %v", n, err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestHide(t *testing.T) {
	w := NewWriter(io.Discard, "token", "token-and-more")
	for text, want := range map[string]string{"a token b": "a *** b", "token-and-more": "***", "token-and": "***-and", "tok": "tok", "": ""} {
		if got := w.Hide(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

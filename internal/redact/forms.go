package redact

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
)

// shortestForm keeps encodings of very short secrets from matching everywhere.
// The secret itself is masked however short.
const shortestForm = 4

// forms lists what a secret looks like in logs: itself, in URLs, in quotes, in
// workflow commands, and in base64, as in basic authentication.
func forms(secret string) [][]byte {
	var all [][]byte
	for line := range strings.Lines(secret) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		all = append(all, []byte(line))
		for _, encoded := range encodings(line) {
			if encoded != line && len(encoded) >= shortestForm {
				all = append(all, []byte(encoded))
			}
		}
	}
	return all
}

func encodings(secret string) []string {
	quoted := strconv.Quote(secret)
	percent := strings.ReplaceAll(secret, "%", "%25")
	list := []string{
		url.QueryEscape(secret),
		url.PathEscape(secret),
		url.UserPassword("", secret).String()[1:],
		quoted[1 : len(quoted)-1],
		percent,
		strings.NewReplacer(":", "%3A", ",", "%2C").Replace(percent),
	}
	for shift := range 3 {
		list = append(list, inBase64(base64.RawStdEncoding, secret, shift), inBase64(base64.RawURLEncoding, secret, shift))
	}
	return list
}

// inBase64 is the part of the encoding of any text that depends on secret alone,
// where shift is the secret's offset in that text, modulo three.
func inBase64(encoding *base64.Encoding, secret string, shift int) string {
	encoded := encoding.EncodeToString([]byte(strings.Repeat("\x00", shift) + secret))
	first := (8*shift + 5) / 6
	end := 8 * (shift + len(secret)) / 6
	return encoded[min(first, end):end]
}

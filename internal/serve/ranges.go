package serve

import (
	"net/http"
	"regexp"
	"strings"
)

// rangeForm is one range of bytes: RFC 9110, section 14.1.2.
var rangeForm = regexp.MustCompile(`^(?i:bytes)=[ \t]*(?:([0-9]+)-([0-9]*)|-([0-9]+))[ \t]*$`)

// oneRange leaves in a request a range that takes one read of the storage, and removes what takes more: several ranges, and what is
// no range. The answer is the whole then, as section 14.2 allows. Ranges are for GET alone.
func oneRange(r *http.Request) {
	fields := r.Header.Values("Range")
	if len(fields) == 0 {
		return
	}
	m := rangeForm.FindStringSubmatch(fields[0])
	if len(fields) > 1 || m == nil || r.Method != http.MethodGet {
		r.Header.Del("Range")
		return
	}
	first, last, suffix := position(m[1]), position(m[2]), position(m[3])
	if m[1] == "" {
		r.Header.Set("Range", "bytes=-"+suffix)
		return
	}
	if last != "" && (len(last) < len(first) || len(last) == len(first) && last < first) {
		r.Header.Del("Range") // no range, as it ends before it begins
		return
	}
	r.Header.Set("Range", "bytes="+first+"-"+last)
}

// position is a number without leading zeros, and never more than net/http reads: no blob is as large.
func position(digits string) string {
	const largest = "999999999999999999"
	if digits == "" {
		return ""
	}
	if digits = strings.TrimLeft(digits, "0"); len(digits) > len(largest) {
		return largest
	}
	if digits == "" {
		return "0"
	}
	return digits
}

package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/nixery-action/internal/blobstore"
	"github.com/org/nixery-action/internal/nixbuild"
)

// apiError is an answer that is an error, as the distribution specification 1.1 has it, "Error Codes".
type apiError struct {
	status  int
	code    string
	message string
	detail  any
	retry   time.Duration // after which the same request may go better; 0 for not
	allow   string        // methods, for 405
}

func (f *apiError) Error() string { return f.code + ": " + f.message }

// The codes of the specification, and docker's own for a server that cannot just now.
const (
	blobUnknown     = "BLOB_UNKNOWN"
	denied          = "DENIED"
	digestInvalid   = "DIGEST_INVALID"
	manifestUnknown = "MANIFEST_UNKNOWN"
	nameInvalid     = "NAME_INVALID"
	nameUnknown     = "NAME_UNKNOWN"
	tagInvalid      = "TAG_INVALID"
	tooManyRequests = "TOOMANYREQUESTS"
	unavailable     = "UNAVAILABLE"
	unknown         = "UNKNOWN"
	unsupported     = "UNSUPPORTED"
)

// How soon to come back: when a build may have ended, and when the storage may have been repaired.
const (
	soon  = 10 * time.Second
	later = 30 * time.Second
)

// notFound is what is not here, and what cannot be named at all: a name that is not in the grammar is never found.
func notFound(code, message string) *apiError {
	return &apiError{status: http.StatusNotFound, code: code, message: message}
}

// apiErrorOf says what an error is to a client. Only what is known to be fit for strangers is repeated; the rest is in the log.
func (s *Server) apiErrorOf(q query, err error) *apiError {
	if f, ok := errors.AsType[*apiError](err); ok {
		return f
	}
	if f := s.nixError(q, err); f != nil {
		return f
	}
	busy := func(status int, code string, message string, retry time.Duration) *apiError {
		return &apiError{status: status, code: code, message: message, retry: retry}
	}
	storage, isStorage := errors.AsType[*blobstore.StorageError](err)
	switch {
	case isStorage:
		return busy(http.StatusServiceUnavailable, unavailable, "the registry's storage did not do as it should: "+storage.Op, later)
	case errors.Is(err, errBusy):
		return busy(http.StatusTooManyRequests, tooManyRequests, "there are more builds than this registry can do; try again", soon)
	case errors.Is(err, errShare):
		return busy(http.StatusTooManyRequests, tooManyRequests, fmt.Sprintf(
			"as many of your builds wait as one client may have (%d); try again", s.options.Share), soon)
	case errors.Is(err, errTimeout):
		return busy(http.StatusServiceUnavailable, unavailable, fmt.Sprintf("building %s took longer than %s; "+
			"what was built is kept, so another try gets further", q, s.options.Timeout), later)
	case errors.Is(err, errClosing), errors.Is(err, errAbandoned), errors.Is(err, context.Canceled):
		return busy(http.StatusServiceUnavailable, unavailable, "the registry is shutting down, or the request was given up", soon)
	}
	return &apiError{status: http.StatusInternalServerError, code: unknown, message: "something is wrong with this registry; its log says what"}
}

// describe says why a build failed, in the words that its clients got; of other errors, what they are.
func (s *Server) describe(q query, err error) string {
	if e := s.nixError(q, err); e != nil {
		return e.message
	}
	return s.plain(err.Error())
}

// nixError is what Nix says. Nil if it says nothing.
func (s *Server) nixError(q query, err error) *apiError {
	evaluation, isEvaluation := errors.AsType[*nixbuild.EvaluationError](err)
	system, isSystem := errors.AsType[*nixbuild.SystemError](err)
	build, isBuild := errors.AsType[*nixbuild.BuildError](err)
	source, isSource := errors.AsType[*nixbuild.SourceError](err)
	unreached, isUnreached := errors.AsType[*unreachedError](err)
	switch {
	case isEvaluation:
		return s.missing(q, evaluation)
	case isSystem:
		return notFound(manifestUnknown, fmt.Sprintf("%s is not in a binary cache, takes %s to build, and this registry can build for %s only%s",
			system.Derivation.Name(), system.Wanted, system.Have, q.alone()))
	case isBuild:
		return &apiError{status: http.StatusInternalServerError, code: unknown, message: s.plain(fmt.Sprintf(
			"building %s: %s", build.Derivation.Name(), build.Message)), detail: s.plainLines(build.Log)}
	case isUnreached:
		return notFound(manifestUnknown, unreached.Error())
	case errors.As(err, new(*unsureError)):
		return &apiError{status: http.StatusServiceUnavailable, code: unavailable, retry: later, message: "it cannot be found out just now " +
			"whether this commit is the package set's own, so it is not served"}
	case errors.As(err, new(*nixbuild.LimitError)):
		return &apiError{status: http.StatusInternalServerError, code: unknown, message: s.plain(err.Error())}
	case isSource && q.tag != latest:
		return notFound(manifestUnknown, s.plain(fmt.Sprintf("the package set cannot be had at %s: %s", q.tag, source.Message)))
	case isSource:
		return &apiError{status: http.StatusServiceUnavailable, code: unavailable, retry: later, message: "the package set cannot be had just now"}
	}
	return nil
}

// alone says how to ask for one architecture, if several were asked for.
func (q query) alone() string {
	if len(q.split()) == 1 {
		return ""
	}
	return fmt.Sprintf("; for one architecture alone, ask for %s/%s", q.split()[0], q.image)
}

// missingPackage is a package that cannot be had, for programs to read.
type missingPackage struct {
	Package string   `json:"package"`
	System  string   `json:"system"` // one, or several with commas
	Reason  string   `json:"reason"`
	Near    []string `json:"near,omitempty"`
}

// missing names the packages that cannot be had. An unfree package is as little there as one that does not exist: that is for the
// registry's settings to change, not for another try.
func (s *Server) missing(q query, e *nixbuild.EvaluationError) *apiError {
	var texts []string
	var detail []missingPackage
	hint := ""
	for _, f := range e.Joined() {
		texts = append(texts, s.plain(reasonText(f)))
		detail = append(detail, missingPackage{f.Name, f.System, string(f.Reason), f.Near})
		if !strings.Contains(f.System, ",") {
			hint = q.alone() // the others may do without it
		}
	}
	if slices.ContainsFunc(e.Failures, func(f nixbuild.Failure) bool { return strings.HasPrefix(f.System, "x86_64") }) {
		hint = ""
	}
	f := notFound(manifestUnknown, strings.Join(texts, "; ")+hint)
	f.detail = detail
	return f
}

// reasonText describes a failure for a client that pulls: hints about a spec are of no use to it.
func reasonText(f nixbuild.Failure) string {
	what := fmt.Sprintf("package %s (%s) ", f.Name, f.System)
	detail := ""
	if f.Message != "" {
		detail = ": " + firstLine(f.Message)
	}
	switch f.Reason {
	case nixbuild.NotFound:
		if len(f.Near) > 0 {
			return what + "does not exist (did you mean " + strings.Join(f.Near, ", ") + "?)"
		}
		return what + "does not exist"
	case nixbuild.Unfree:
		return what + "is unfree, which this registry does not accept" + detail
	case nixbuild.Broken:
		return what + "is marked as broken" + detail
	case nixbuild.Insecure:
		return what + "is marked as insecure" + detail
	case nixbuild.Unsupported:
		return what + "is not available for this system" + detail
	case nixbuild.Suspect:
		return fmt.Sprintf("at least one of these packages does not evaluate: %s (%s)%s", f.Name, f.System, detail)
	case nixbuild.NotDerivation:
		return what + "is not a package but a " + f.Message
	}
	return what + "does not evaluate" + detail
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func (s *Server) plain(text string) string { return plain(text, s.secrets) }

func (s *Server) plainLines(lines []string) []string {
	clean := make([]string, len(lines))
	for i, line := range lines {
		clean[i] = s.plain(line)
	}
	return clean
}

// write answers. A HEAD has the same fields and no content, which net/http sees to.
func (f *apiError) write(w http.ResponseWriter) {
	entry := map[string]any{"code": f.code, "message": f.message}
	if f.detail != nil {
		entry["detail"] = f.detail
	}
	content, err := json.Marshal(map[string]any{"errors": []any{entry}})
	if err != nil {
		content = []byte(`{"errors":[{"code":"UNKNOWN"}]}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(content)))
	h.Set("X-Content-Type-Options", "nosniff")
	if f.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(f.retry.Seconds())))
	}
	if f.allow != "" {
		h.Set("Allow", f.allow)
	}
	w.WriteHeader(f.status)
	_, _ = w.Write(content) // a client that has gone needs no answer
}

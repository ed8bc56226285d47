package actions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/org/nixery-action/internal/cache"
)

// blockSize is how much of an entry is held in memory while it is sent, and the size of what is sent in one request.
const blockSize = 8 << 20

// Options say how to reach the GitHub Actions cache.
type Options struct {
	Transport http.RoundTripper // nil means http.DefaultTransport
	UserAgent string
}

// FromEnvironment returns the GitHub Actions cache that the runner's variables describe: v2 if ACTIONS_CACHE_SERVICE_V2 and
// ACTIONS_RESULTS_URL are set, else v1 if ACTIONS_CACHE_URL is. If there is none, all that is asked of the store fails as [Absent]
// with the reason.
func FromEnvironment(getenv func(string) string, o Options) cache.Store {
	a := actions{mode: getenv("ACTIONS_CACHE_MODE"), pace: &pace{}, version: Version}
	token := getenv("ACTIONS_RUNTIME_TOKEN")
	results, v1 := getenv("ACTIONS_RESULTS_URL"), getenv("ACTIONS_CACHE_URL")
	switch {
	case a.mode == "none":
		return absent{"ACTIONS_CACHE_MODE is none"}
	case isSet(getenv("ACTIONS_CACHE_SERVICE_V2")) && results != "":
		if token == "" {
			return absent{"ACTIONS_RUNTIME_TOKEN is not set"}
		}
		a.wire = newWire("the GitHub Actions cache (v2)", token, o.UserAgent, o.Transport)
		a.base = strings.TrimRight(results, "/") + "/twirp/github.actions.results.api.v1.CacheService/"
		return checked(&actionsV2{a})
	case v1 != "":
		a.wire = newWire("the GitHub Actions cache (v1)", token, o.UserAgent, o.Transport)
		a.base = strings.TrimRight(v1, "/") + "/_apis/artifactcache/"
		return checked(&actionsV1{a})
	}
	return absent{"ACTIONS_RESULTS_URL and ACTIONS_CACHE_URL are not set; they are in an action's own steps, not in run: steps"}
}

func isSet(value string) bool {
	return value != "" && value != "0" && !strings.EqualFold(value, "false")
}

// actions is what both versions of the service have.
type actions struct {
	*wire
	base    string // ends in a slash
	mode    string // ACTIONS_CACHE_MODE: read, write, write-only or none; "" allows all
	version string // entries of other versions are not seen
	pace    *pace
}

// Version is what actions/cache makes of paths and compressor: it tells our entries from others' in the same repository.
var Version = func() string {
	sum := sha256.Sum256([]byte("nixery-action cache 1"))
	return hex.EncodeToString(sum[:])
}()

func (a *actions) String() string { return a.store }

func (a *actions) address() string { return a.base }

// checked looks at the base address before anything is sent there.
func checked(s interface {
	cache.Store
	address() string
}) cache.Store {
	u, err := url.Parse(s.address())
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return absent{"its address is not a URL"}
	}
	return s
}

// mayRead is false for a token that may only write: nothing is ever found then.
func (a *actions) mayRead() bool { return a.mode != "write-only" }

// mayWrite asks the runner before the service does.
func (a *actions) mayWrite() error {
	if a.mode == "read" {
		return &cache.StoreError{Store: a.store, Op: cache.Saving, Kind: cache.Denied, Message: "ACTIONS_CACHE_MODE is read"}
	}
	return nil
}

// found makes an entry of what the service matched, which need not be what was asked for.
func (a *actions) found(scope cache.Scope, matched, signed string) (cache.Entry, error) {
	name, err := scope.Parse(matched)
	if err != nil {
		return cache.Entry{}, err
	}
	if err := a.signedURL(cache.Finding, a.base, signed); err != nil {
		return cache.Entry{}, err
	}
	open := func(ctx context.Context) (io.ReadCloser, error) { return a.download(ctx, signed) }
	return cache.Entry{Name: name, Size: -1, Open: open}, nil
}

// blocks cuts size bytes of content into blocks, and gives them to send one after the other; no content is one empty block. The
// bytes are send's until it returns.
func blocks(size int64, open func() (io.ReadCloser, error), send func(offset int64, block []byte) error) error {
	content, err := open()
	if err != nil {
		return err
	}
	defer content.Close()
	buffer := make([]byte, min(size, blockSize))
	for offset := int64(0); ; {
		block := buffer[:min(size-offset, blockSize)]
		if _, err := io.ReadFull(content, block); err != nil {
			return contentError(err, size)
		}
		if offset+int64(len(block)) == size {
			if err := atEnd(content, size); err != nil {
				return err
			}
		}
		if err := send(offset, block); err != nil {
			return err
		}
		if offset += int64(len(block)); offset == size {
			return nil
		}
	}
}

// atEnd reads to the end before the last block goes: a reader that verifies says there what it thinks.
func atEnd(content io.Reader, size int64) error {
	var more [1]byte
	n, err := io.ReadFull(content, more[:])
	if n == 0 && errors.Is(err, io.EOF) {
		return nil
	}
	return contentError(err, size)
}

func contentError(err error, size int64) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return cache.SizeError(size)
	}
	return err
}

// absent is a store that is not there, and says why.
type absent struct{ reason string }

func (absent) String() string { return "the GitHub Actions cache" }

func (a absent) Newest(context.Context, cache.Scope) (cache.Entry, error) {
	return cache.Entry{}, a.fault(cache.Finding)
}

func (a absent) Save(context.Context, cache.Name, int64, func() (io.ReadCloser, error)) error {
	return a.fault(cache.Saving)
}

func (a absent) fault(op string) error {
	return &cache.StoreError{Store: a.String(), Op: op, Kind: cache.Absent, Message: a.reason}
}

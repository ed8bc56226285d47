package actions

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/org/nixery-action/internal/cache/cachetest"
)

// fakeActions behaves as the cache service does: it matches by the prefix of a key, newest first; what is not finalized is not
// found. In v2 a name is reserved once for ever; v1 is act's, which lets several jobs reserve a name, and lower-cases keys.
type fakeActions struct {
	t       *testing.T
	dir     string // content is in files, so that it does not count as memory
	handler http.Handler

	mu      sync.Mutex
	entries []*fakeEntry // oldest first
	lag     int          // look-ups that do not see the newest entry
	denied  string       // why writes are denied
}

type fakeEntry struct {
	key, version string
	size         int64 // said at reservation, v1
	finalized    bool
	blocks       []string // in the order in which they came
}

// newFake returns the service, and a front before it.
func newFake(t *testing.T) (*fakeActions, *cachetest.Front) {
	f := &fakeActions{t: t, dir: t.TempDir()}
	mux := http.NewServeMux()
	const twirp = "POST /twirp/github.actions.results.api.v1.CacheService/"
	mux.HandleFunc(twirp+"CreateCacheEntry", f.create)
	mux.HandleFunc(twirp+"FinalizeCacheEntryUpload", f.finalize)
	mux.HandleFunc(twirp+"GetCacheEntryDownloadURL", f.lookUp)
	mux.HandleFunc("GET /x/_apis/artifactcache/cache", f.lookUpV1)
	mux.HandleFunc("POST /x/_apis/artifactcache/caches", f.createV1)
	mux.HandleFunc("PATCH /x/_apis/artifactcache/caches/{id}", f.patchV1)
	mux.HandleFunc("POST /x/_apis/artifactcache/caches/{id}", f.commitV1)
	mux.HandleFunc("PUT /blob/{id}", f.put)
	mux.HandleFunc("GET /blob/{id}", f.get)
	f.handler = mux
	return f, &cachetest.Front{Inner: mux}
}

func (f *fakeActions) fail(w http.ResponseWriter, code int, twirp string) {
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"code":%q,"msg":"no: %s"}`, twirp, twirp)
}

// authorized wants the token at the service, and nowhere else.
func (f *fakeActions) authorized(r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+cachetest.TestToken {
		f.t.Errorf("%s %s has authorization %q", r.Method, r.URL.Path, r.Header.Get("Authorization"))
	}
}

func (f *fakeActions) signed(r *http.Request) int {
	if r.Header.Get("Authorization") != "" || r.URL.Query().Get("sig") != cachetest.TestSig {
		f.t.Errorf("%s %s: the token was sent to the storage, or the signature was not", r.Method, r.URL)
	}
	id, _ := strconv.Atoi(r.PathValue("id"))
	return id
}

func decode[T any](f *fakeActions, r *http.Request) T {
	var request T
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		f.t.Errorf("%s: %v", r.URL.Path, err)
	}
	return request
}

func (f *fakeActions) reserve(key, version string, size int64) (id int, ok bool) {
	for _, e := range f.entries {
		if e.key == key && e.version == version {
			return 0, false
		}
	}
	f.entries = append(f.entries, &fakeEntry{key: key, version: version, size: size})
	return len(f.entries), true
}

// match returns the number of the newest entry, or 0.
func (f *fakeActions) match(prefix, version string) int {
	late := f.lag > 0
	f.lag--
	for i := len(f.entries) - 1; i >= 0; i-- {
		e := f.entries[i]
		if !e.finalized || e.version != version || !strings.HasPrefix(e.key, prefix) {
			continue
		}
		if !late {
			return i + 1
		}
		late = false
	}
	return 0
}

type requestV2 struct {
	Key         string   `json:"key"`
	Version     string   `json:"version"`
	RestoreKeys []string `json:"restore_keys"`
	Size        string   `json:"size_bytes"`
}

func (f *fakeActions) create(w http.ResponseWriter, r *http.Request) {
	f.authorized(r)
	request := decode[requestV2](f, r)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.denied != "" {
		fmt.Fprintf(w, `{"ok":false,"message":%q}`, f.denied)
		return
	}
	id, ok := f.reserve(request.Key, request.Version, 0)
	if !ok {
		f.fail(w, http.StatusConflict, "already_exists")
		return
	}
	fmt.Fprintf(w, `{"ok":true,"signed_upload_url":"https://storage.example/blob/%d?sig=%s"}`, id, cachetest.TestSig)
}

func (f *fakeActions) finalize(w http.ResponseWriter, r *http.Request) {
	f.authorized(r)
	request := decode[requestV2](f, r)
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, e := range f.entries {
		if e.key == request.Key && e.version == request.Version {
			if size := f.length(id + 1); request.Size != fmt.Sprint(size) {
				f.t.Errorf("finalized with size %s, but %d bytes came", request.Size, size)
			}
			if e.finalized {
				break
			}
			e.finalized = true
			fmt.Fprint(w, `{"ok":true,"entry_id":"1"}`)
			return
		}
	}
	f.fail(w, http.StatusConflict, "already_exists")
}

func (f *fakeActions) lookUp(w http.ResponseWriter, r *http.Request) {
	f.authorized(r)
	request := decode[requestV2](f, r)
	f.mu.Lock()
	defer f.mu.Unlock()
	id := f.match(request.RestoreKeys[0], request.Version)
	if id == 0 {
		fmt.Fprint(w, `{"ok":false}`)
		return
	}
	fmt.Fprintf(w, `{"ok":true,"signed_download_url":"https://storage.example/blob/%d?sig=%s","matched_key":%q}`, id, cachetest.TestSig, f.entries[id-1].key)
}

// put is Azure's: a whole blob, a block, or the list of blocks.
func (f *fakeActions) put(w http.ResponseWriter, r *http.Request) {
	id := f.signed(r)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch r.URL.Query().Get("comp") {
	case "block":
		block := r.URL.Query().Get("blockid")
		if slices.ContainsFunc(f.entries[id-1].blocks, func(other string) bool { return other == block || len(other) != len(block) }) {
			f.t.Errorf("block %q comes after %q", block, f.entries[id-1].blocks)
		}
		f.write(id, len(f.entries[id-1].blocks), r.Body)
		f.entries[id-1].blocks = append(f.entries[id-1].blocks, block)
	case "blocklist":
		var list struct{ Latest []string }
		if err := xml.NewDecoder(r.Body).Decode(&list); err != nil || strings.Join(list.Latest, " ") != strings.Join(f.entries[id-1].blocks, " ") {
			f.t.Errorf("block list is %q: %v", list.Latest, err)
		}
	default:
		if r.Header.Get("x-ms-blob-type") != "BlockBlob" || r.ContentLength < 0 {
			f.t.Errorf("a blob came with headers %v", r.Header)
		}
		f.write(id, 0, r.Body)
	}
	w.WriteHeader(http.StatusCreated)
}

// get ignores Range, as one server does.
func (f *fakeActions) get(w http.ResponseWriter, r *http.Request) {
	id := f.signed(r)
	w.Header().Set("Content-Length", fmt.Sprint(f.length(id)))
	for _, path := range f.files(id) {
		file, err := os.Open(path)
		if err != nil {
			f.t.Error(err)
			return
		}
		_, _ = io.Copy(w, file)
		_ = file.Close()
	}
}

func (f *fakeActions) lookUpV1(w http.ResponseWriter, r *http.Request) {
	f.authorized(r)
	f.mu.Lock()
	defer f.mu.Unlock()
	id := f.match(strings.ToLower(r.URL.Query().Get("keys")), r.URL.Query().Get("version"))
	if id == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	fmt.Fprintf(w, `{"result":"hit","archiveLocation":"http://storage.example/blob/%d?sig=%s","cacheKey":%q}`, id, cachetest.TestSig, f.entries[id-1].key)
}

func (f *fakeActions) createV1(w http.ResponseWriter, r *http.Request) {
	f.authorized(r)
	request := decode[struct {
		Key, Version string
		CacheSize    int64
	}](f, r)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.denied != "" {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"message":%q}`, f.denied)
		return
	}
	f.entries = append(f.entries, &fakeEntry{key: strings.ToLower(request.Key), version: request.Version, size: request.CacheSize})
	fmt.Fprintf(w, `{"cacheId":%d}`, len(f.entries))
}

func (f *fakeActions) patchV1(w http.ResponseWriter, r *http.Request) {
	f.authorized(r)
	id, _ := strconv.Atoi(r.PathValue("id"))
	f.mu.Lock()
	defer f.mu.Unlock()
	var first, last int64
	if _, err := fmt.Sscanf(r.Header.Get("Content-Range"), "bytes %d-%d/*", &first, &last); err != nil || first != f.length(id) || last < first {
		f.t.Errorf("content range %q after %d bytes: %v", r.Header.Get("Content-Range"), f.length(id), err)
	}
	f.write(id, len(f.entries[id-1].blocks), r.Body)
	f.entries[id-1].blocks = append(f.entries[id-1].blocks, "")
}

func (f *fakeActions) commitV1(w http.ResponseWriter, r *http.Request) {
	f.authorized(r)
	request := decode[struct{ Size int64 }](f, r)
	id, _ := strconv.Atoi(r.PathValue("id"))
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.entries[id-1]
	if e.finalized {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":"cache %d %s: already complete"}`, id, e.key)
		return
	}
	if size := f.length(id); request.Size != size || e.size != size {
		f.t.Errorf("committed with size %d, reserved with %d, but %d bytes came", request.Size, e.size, size)
	}
	e.finalized = true
}

func (f *fakeActions) files(id int) []string {
	files, err := filepath.Glob(filepath.Join(f.dir, fmt.Sprintf("%d-*", id)))
	if err != nil {
		f.t.Error(err)
	}
	return files
}

func (f *fakeActions) write(id, block int, content io.Reader) {
	file, err := os.Create(filepath.Join(f.dir, fmt.Sprintf("%d-%08d", id, block)))
	if err == nil {
		_, err = io.Copy(file, content)
		_ = file.Close()
	}
	if err != nil {
		f.t.Error(err)
	}
}

func (f *fakeActions) length(id int) (n int64) {
	for _, path := range f.files(id) {
		stat, err := os.Stat(path)
		if err != nil {
			f.t.Error(err)
			continue
		}
		n += stat.Size()
	}
	return n
}

// tamper changes what an entry holds.
func (f *fakeActions) tamper(name string, change func([]byte) []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, e := range f.entries {
		if e.key != name {
			continue
		}
		for _, path := range f.files(i + 1) {
			content, err := os.ReadFile(path)
			if err != nil {
				f.t.Error(err)
			}
			f.write(i+1, 0, bytes.NewReader(change(content)))
		}
		return
	}
	f.t.Errorf("there is no entry %s", name)
}

package cli

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func init() {
	commands["listens"] = listens
	commands["fetch"] = fetch
	commands["becomes"] = becomes
	commands["blob"] = blob
	commands["download"] = download
	commands["rest"] = rest
	commands["terminate"] = terminate
	commands["appears"] = appears
	commands["logs"] = logs
	commands["whole"] = whole
}

// listens waits until a server has written its address into FILE, and puts it in ADDRESS:
//
//	listens FILE
func listens(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: listens FILE")
	}
	for range 600 {
		text, _ := os.ReadFile(ts.MkAbs(args[0]))
		if address, whole := strings.CutSuffix(string(text), "\n"); whole {
			ts.Setenv("ADDRESS", address)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("no server has written its address into %s", args[0])
}

// askServer asks the server in ADDRESS, as USER, by the name HOST and from a page of SITE, as Sec-Fetch-Site has it, if these are set.
func askServer(ts *testscript.TestScript, path string) *http.Response {
	r, err := http.NewRequest(http.MethodGet, "http://"+ts.Getenv("ADDRESS")+path, nil)
	ts.Check(err)
	if name, password, ok := strings.Cut(ts.Getenv("USER"), ":"); ok {
		r.SetBasicAuth(name, password)
	}
	r.Host = ts.Getenv("HOST")
	if site := ts.Getenv("SITE"); site != "" {
		r.Header.Set("Sec-Fetch-Site", site)
	}
	// A connection of its own: one that is kept would have to end before the server does.
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true, ReadBufferSize: 4 << 10}}).Do(r)
	ts.Check(err)
	return answer
}

// fetch wants an answer with a status, and prints its body:
//
//	fetch STATUS PATH
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fetch STATUS PATH")
	}
	answer := askServer(ts, args[1])
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	ts.Check(err)
	_, err = ts.Stdout().Write(body)
	ts.Check(err)
	if strconv.Itoa(answer.StatusCode) != args[0] {
		ts.Fatalf("%s: %s, want %s", args[1], answer.Status, args[0])
	}
}

// becomes asks until an answer has a status:
//
//	becomes STATUS PATH
func becomes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: becomes STATUS PATH")
	}
	for range 300 {
		answer := askServer(ts, args[1])
		answer.Body.Close()
		if strconv.Itoa(answer.StatusCode) == args[0] {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	ts.Fatalf("%s does not become %s", args[1], args[0])
}

// blob puts random bytes into a store, and their digest into DIGEST:
//
//	blob DIR SIZE
func blob(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: blob DIR SIZE")
	}
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	content := make([]byte, size)
	_, _ = rand.Read(content)
	sum := sha256.Sum256(content)
	dir := ts.MkAbs(filepath.Join(args[0], "blobs/sha256"))
	ts.Check(os.MkdirAll(dir, 0o755))
	ts.Check(os.WriteFile(filepath.Join(dir, hex.EncodeToString(sum[:])), content, 0o644))
	ts.Setenv("DIGEST", "sha256:"+hex.EncodeToString(sum[:]))
}

// pending is a download that has begun.
type pending struct {
	body   io.ReadCloser
	read   bytes.Buffer
	digest string
}

// begun are the downloads of all scripts, by the script's directory.
var begun sync.Map

// download begins to read a blob, and stops after a few bytes:
//
//	download DIGEST
func download(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: download DIGEST")
	}
	p := &pending{digest: args[0]}
	p.body = askServer(ts, "/v2/hello/blobs/"+args[0]).Body
	_, err := io.CopyN(&p.read, p.body, 10)
	ts.Check(err)
	begun.Store(ts.Getenv("WORK"), p)
}

// rest reads what is left of a download, and wants the whole to have its digest:
//
//	rest
func rest(ts *testscript.TestScript, neg bool, _ []string) {
	found, ok := begun.LoadAndDelete(ts.Getenv("WORK"))
	if !ok {
		ts.Fatalf("no download has begun")
	}
	p := found.(*pending)
	defer p.body.Close()
	_, err := io.Copy(&p.read, p.body)
	if neg {
		if err == nil {
			ts.Fatalf("the download went through")
		}
		return
	}
	ts.Check(err)
	if sum := sha256.Sum256(p.read.Bytes()); fmt.Sprintf("sha256:%x", sum) != p.digest {
		ts.Fatalf("%d bytes came, and are not %s", p.read.Len(), p.digest)
	}
}

// terminate sends SIGTERM to the process whose number is in a file:
//
//	terminate FILE
func terminate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: terminate FILE")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	ts.Check(syscall.Kill(pid, syscall.SIGTERM))
}

// logs waits until a text is in a log:
//
//	logs FILE TEXT
func logs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: logs FILE TEXT")
	}
	for range 600 {
		if text, _ := os.ReadFile(ts.MkAbs(args[0])); strings.Contains(string(text), args[1]) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s does not come to hold %q", args[0], args[1])
}

// appears waits until there are so many files:
//
//	appears NUMBER PATTERN
func appears(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: appears NUMBER PATTERN")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	for range 30_000 {
		if found, _ := filepath.Glob(ts.MkAbs(args[1])); len(found) >= want {
			return
		}
		time.Sleep(time.Millisecond)
	}
	ts.Fatalf("there are no %d files %s", want, args[1])
}

// whole wants each blob of a store to have its digest:
//
//	whole DIR
func whole(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: whole DIR")
	}
	files, err := filepath.Glob(ts.MkAbs(filepath.Join(args[0], "blobs/sha256/*")))
	ts.Check(err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		ts.Check(err)
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != filepath.Base(file) {
			ts.Fatalf("%s is damaged: it has %d bytes", file, len(content))
		}
	}
	ts.Logf("%d blobs are whole", len(files))
}

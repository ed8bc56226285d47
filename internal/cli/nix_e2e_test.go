//go:build e2e

package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
)

// release serves a release of Nix, so many times and no more:
//
//	release TIMES [USER:PASSWORD]
func release(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: release TIMES [USER:PASSWORD]")
	}
	login := ""
	if len(args) == 2 {
		login = args[1] + "@"
	}
	times, err := strconv.Atoi(args[0])
	ts.Check(err)
	cmd := exec.Command("../../testdata/scripts/nix-release")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	ts.Check(err)
	file := strings.TrimSpace(string(out))
	content, err := os.ReadFile(file)
	ts.Check(err)
	sum := sha256.Sum256(content)
	left := atomic.Int64{}
	left.Store(int64(times))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if left.Add(-1) < 0 {
			http.NotFound(w, r)
			return
		}
		http.ServeFile(w, r, file)
	}))
	ts.Defer(server.Close)
	ts.Setenv("NIXERY_NIX_URL", strings.Replace(server.URL, "//", "//"+login, 1)+"/"+filepath.Base(file))
	ts.Setenv("NIXERY_NIX_SHA256", hex.EncodeToString(sum[:]))
}

// machines are what a program finds when it runs barely. $0 is a directory, which
// stands for /nix, or for the root of a container that has no /nix.
var machines = map[string]string{
	"volume": `mount --bind "$0" /nix && exec /usr/bin/env "PATH=$BARE_PATH" "$@"`,
	"user":   `mount --bind "$0" /nix && exec unshare --user --map-user=1000 --map-group=1000 /usr/bin/env "PATH=$BARE_PATH" "$@"`,
	"container": `for dir in /*; do
		case $dir in
		/nix) continue ;;
		/etc) mkdir -p "$0$dir" && cp /etc/passwd /etc/group "$0$dir" && continue ;;
		esac
		if [ -L "$dir" ]; then cp -Pf "$dir" "$0$dir"
		elif [ -d "$dir" ]; then mkdir -p "$0$dir" && mount --rbind "$dir" "$0$dir" || exit; fi
	done
	exec chroot "$0" /usr/bin/env -C "$PWD" "PATH=$BARE_PATH" "$@"`,
}

// bare runs this program on a machine without Nix: there is nothing on PATH but
// what is in BARE_PATH, and /nix is another, or none. It does so by bash, as other
// shells drop variables such as INPUT_CACHE-TO.
//
//	bare volume|user|container DIR CODE ARG…
func bare(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 || machines[args[0]] == "" {
		ts.Fatalf("usage: bare volume|user|container DIR CODE ARG…")
	}
	program, err := exec.LookPath("nixery-action")
	ts.Check(err)
	run := []string{args[2], "bash", "-c", `PATH=$PATH:/usr/sbin:/sbin; exec unshare --mount "$0" "$@"`}
	if os.Geteuid() != 0 {
		run = append(run, "--map-root-user")
	} else {
		run = append(run, "--")
	}
	run = append(run, "bash", "-c", machines[args[0]], ts.MkAbs(args[1]), program)
	exits(ts, false, append(run, args[3:]...))
}

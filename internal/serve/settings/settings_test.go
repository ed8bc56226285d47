package settings

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/org/nixery-action/internal/spec"
)

type variables map[string]string

// places are where settings are written.
type places struct {
	Flags map[string][]string
	Env   variables
}

func readPlaces(p places) (Settings, error) {
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	flags.Bool("verbose", false, "a flag of the whole program")
	AddFlags(flags)
	args := []string{"--verbose"}
	for name, texts := range p.Flags {
		for _, text := range texts {
			args = append(args, "--"+name+"="+text)
		}
	}
	if err := flags.Parse(args); err != nil {
		return Settings{}, err
	}
	return Read(flags, func() []string {
		environ := []string{"HOME=/root", "odd"}
		for name, text := range p.Env {
			environ = append(environ, name+"="+text)
		}
		return environ
	})
}

func read(t *testing.T, flags map[string][]string, e variables) Settings {
	t.Helper()
	s, err := readPlaces(places{Flags: flags, Env: e})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "serve.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestDefaults(t *testing.T) {
	want := Settings{
		Address: "127.0.0.1", Port: 8080, Nixpkgs: spec.Nixpkgs{Channel: "nixos-unstable"}, Storage: "./store", Popularity: "embedded", Timeout: 30 * time.Minute,
		Builds: 2, Queue: 64, Share: 16, Fresh: 5 * time.Minute, LogFormat: "auto", MinFree: 256 << 20, ShutdownDelay: 5 * time.Second, Grace: 20 * time.Second,
		Evaluation: Evaluation{GitHubAPI: "https://api.github.com", Packages: 64, Memory: 4 << 30, CPU: 5 * time.Minute},
	}
	if got := read(t, map[string][]string{"storage": {"./store"}}, nil); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Where a server listens, and what must be said before it listens there.
func TestExposure(t *testing.T) {
	file := write(t, "storage: x\naddress: 0.0.0.0\n")
	for _, c := range []struct {
		flags   map[string][]string
		env     variables
		address string // "error" for none
	}{
		{nil, nil, "127.0.0.1"},
		{nil, variables{"PORT": "80"}, "127.0.0.1"}, // Nixery's variable says nothing of the address
		{nil, variables{"NIXERY_ADDRESS": ""}, "127.0.0.1"},
		{map[string][]string{"public": {"true"}}, nil, ""},
		{map[string][]string{"public": {"false"}}, nil, "127.0.0.1"},
		{nil, variables{"NIXERY_PUBLIC": "true"}, ""},
		{map[string][]string{"htpasswd": {"users"}}, nil, "127.0.0.1"},
		{map[string][]string{"address": {"127.0.0.1"}}, nil, "127.0.0.1"},
		{map[string][]string{"address": {"127.8.9.10"}}, nil, "127.8.9.10"},
		{map[string][]string{"address": {"localhost"}}, nil, "127.0.0.1"},
		{map[string][]string{"address": {"LocalHost."}}, nil, "127.0.0.1"},
		{map[string][]string{"address": {"::1"}}, nil, "::1"},
		{map[string][]string{"address": {"[::1]"}}, nil, "::1"},
		{map[string][]string{"address": {"::ffff:127.0.0.1"}}, nil, "::ffff:127.0.0.1"},
		{map[string][]string{"address": {"127.0.0.1"}, "public": {"true"}}, nil, "127.0.0.1"}, // behind a proxy of this machine
		{map[string][]string{"address": {""}}, nil, "error"},
		{map[string][]string{"address": {"0.0.0.0"}}, nil, "error"},
		{map[string][]string{"address": {"::"}}, nil, "error"},
		{map[string][]string{"address": {"::ffff:0.0.0.0"}}, nil, "error"},
		{map[string][]string{"address": {"192.0.2.1"}}, nil, "error"},
		{map[string][]string{"address": {"fe80::1%eth0"}}, nil, "error"},
		{map[string][]string{"address": {"this-machine"}}, nil, "error"}, // whatever it resolves to
		{map[string][]string{"address": {"127.0.0.1.example"}}, nil, "error"},
		{map[string][]string{"address": {"127.1"}}, nil, "error"},
		{map[string][]string{"address": {"0.0.0.0"}, "public": {"false"}}, nil, "error"},
		{map[string][]string{"config": {file}}, nil, "error"},
		{nil, variables{"NIXERY_ADDRESS": "0.0.0.0"}, "error"},
		{map[string][]string{"address": {"0.0.0.0"}, "public": {"true"}}, nil, "0.0.0.0"},
		{map[string][]string{"address": {"0.0.0.0"}, "htpasswd": {"users"}}, nil, "0.0.0.0"},
		{map[string][]string{"config": {file}}, variables{"NIXERY_PUBLIC": "1"}, "0.0.0.0"},
	} {
		e := variables{"NIXERY_STORAGE": "x"}
		maps.Copy(e, c.env)
		s, err := readPlaces(places{Flags: c.flags, Env: e})
		if c.address == "error" {
			if err == nil || !strings.Contains(err.Error(), "add --htpasswd FILE, or --public") {
				t.Errorf("%v %v: %+v, %v", c.flags, c.env, s, err)
			}
			continue
		}
		if err != nil || s.Address != c.address {
			t.Errorf("%v %v: address %q, %v; want %q", c.flags, c.env, s.Address, err, c.address)
		}
		if alone := !s.Public && s.Address != "0.0.0.0"; s.LoopbackOnly() != alone {
			t.Errorf("%v %v: only loopback is %t", c.flags, c.env, s.LoopbackOnly())
		}
	}
}

func TestNetworkSettings(t *testing.T) {
	s := read(t, map[string][]string{
		"storage": {"x"}, "host": {"Registry.Example.", "[2001:DB8::1]", "::ffff:192.0.2.1"}, "proxy": {"10.1.2.3/8", "::1", "::ffff:192.0.2.1"},
		"min-free": {"2GiB"}, "shutdown-delay": {"0"},
	}, variables{"NIXERY_GRACE": "7"})
	if want := []string{"registry.example", "2001:db8::1", "192.0.2.1"}; !reflect.DeepEqual(s.Hosts, want) {
		t.Errorf("hosts %q, want %q", s.Hosts, want)
	}
	if got := fmt.Sprint(s.Proxies); got != "[10.0.0.0/8 ::1/128 192.0.2.1/32]" {
		t.Errorf("proxies %s", got)
	}
	if s.MinFree != 2<<30 || s.ShutdownDelay != 0 || s.Grace != 7*time.Second {
		t.Errorf("got %+v", s)
	}
	for flag, bad := range map[string][]string{
		"host":           {"", "http://registry.example", "registry.example:443", "a b", "-x", "a..b", "*.example", "x/y", "[::1", strings.Repeat("a.", 130) + "a"},
		"proxy":          {"", "proxy.example", "10.0.0.0/33", "0.0.0.0/0", "::/0", "10.0.0.1:80"},
		"address":        {"0.0.0.0:80", "a b", "http://x", "[::1]:80", "\n"},
		"min-free":       {"", "-1", "1.5GB", "2 chairs", "9999999999999999999", "999999999999GiB"},
		"shutdown-delay": {"", "-1s", "soon"},
		"share":          {"0", "many"},
		"public":         {"perhaps"},
	} {
		for _, value := range bad {
			if flag == "address" && value == "" {
				continue
			}
			_, err := readPlaces(places{Flags: map[string][]string{"storage": {"x"}, flag: {value}}})
			if errs, ok := errors.AsType[Errors](err); !ok || len(errs) != 1 || !strings.HasPrefix(err.Error(), "--"+flag+": want ") && !strings.Contains(err.Error(), "all addresses cannot be") {
				t.Errorf("--%s %q: %v", flag, value, err)
			}
		}
	}
}

// What Nixery's deployments have in their environment means here what it means there.
func TestEnvironmentOfNixery(t *testing.T) {
	commit := strings.Repeat("0123456789", 4)
	for name, c := range map[string]struct {
		env  variables
		want func(Settings) bool
	}{
		"directory": {variables{"PORT": "45243", "NIXERY_CHANNEL": "nixos-25.11", "NIXERY_STORAGE_BACKEND": "filesystem", "STORAGE_PATH": "/var/lib/nixery",
			"NIX_TIMEOUT": "90", "NIX_POPULARITY_URL": "https://x.example/popularity.json", "WEB_DIR": "/web"},
			func(s Settings) bool {
				return s.Port == 45243 && s.Nixpkgs.Channel == "nixos-25.11" && s.Storage == "/var/lib/nixery" && s.Timeout == 90*time.Second &&
					s.Popularity == "https://x.example/popularity.json"
			}},
		"commit": {variables{"NIXERY_CHANNEL": commit, "NIXERY_STORAGE_BACKEND": "gcs", "GCS_BUCKET": "images", "S3_BUCKET": ""},
			func(s Settings) bool { return s.Nixpkgs.Channel == commit && s.Storage == "gs://images" }},
		"git": {variables{"NIXERY_PKGS_REPO": "https://git.example/pkgs.git", "NIXERY_STORAGE_BACKEND": "s3", "S3_BUCKET": "images", "AWS_REGION": "eu-west-1"},
			func(s Settings) bool {
				return s.Nixpkgs.Git.URL == "https://git.example/pkgs.git" && s.Storage == "s3://images?region=eu-west-1"
			}},
		"path": {variables{"NIXERY_PKGS_PATH": "/pkgs", "NIXERY_CHANNEL": "", "NIXERY_STORAGE_BACKEND": "s3", "S3_BUCKET": "images"},
			func(s Settings) bool { return s.Nixpkgs.Path == "/pkgs" && s.Storage == "s3://images?region=us-east-1" }},
	} {
		if s := read(t, nil, c.env); !c.want(s) {
			t.Errorf("%s: got %+v", name, s)
		}
	}
}

func TestFlagsOverEnvironmentOverFile(t *testing.T) {
	file := write(t, "port: 1\nbuilds: 1\nqueue: 1\nchannel: nixos-25.05\nstorage: from-file\nallow: [a, b.*]\nredirect: true\n")
	e := variables{"NIXERY_CONFIG": file, "PORT": "2", "NIXERY_BUILDS": "2", "NIXERY_CHANNEL": "nixos-25.11"}
	s := read(t, map[string][]string{"port": {"3"}, "pkgs-path": {"/pkgs"}}, e)
	if s.Port != 3 || s.Builds != 2 || s.Queue != 1 || s.Storage != "from-file" || !s.Redirect {
		t.Errorf("got %+v", s)
	}
	if s.Nixpkgs.Path != "/pkgs" || s.Nixpkgs.Channel != "" {
		t.Errorf("packages come from %+v", s.Nixpkgs)
	}
	if !reflect.DeepEqual(s.Allow, []string{"a", "b.*"}) {
		t.Errorf("allowed are %q", s.Allow)
	}
	if s := read(t, map[string][]string{"config": {write(t, "storage: other\n")}}, e); s.Storage != "other" || s.Queue != 64 {
		t.Errorf("another file: %+v", s)
	}
	if s := read(t, nil, variables{"NIXERY_STORAGE": "mem://", "NIXERY_STORAGE_BACKEND": "gcs", "NIXERY_ALLOW": "x, y", "NIXERY_ARCHITECTURES": "arm64,amd64,arm64"}); s.Storage != "mem://" ||
		len(s.Allow) != 2 || !reflect.DeepEqual(s.Architectures, []string{"arm64", "amd64"}) {
		t.Errorf("a location beside a backend: %+v", s)
	}
}

// Everything that is wrong is told at once, with the place where it was said.
func TestErrors(t *testing.T) {
	file := write(t, "queue: many\nbuild: 3\ntimeout: [1, 2]\nfresh:\nqueue: 2\n")
	_, err := readPlaces(places{
		Flags: map[string][]string{"config": {file}, "builds": {"0"}, "grace": {"soon"}, "redirect": {"yes"}, "allow": {"a b"}, "eval-memory": {"1"}, "eval-path": {"https:"}, "github-api": {"https://token@github.example.org"}, "log-format": {"xml"}},
		Env:   variables{"PORT": "http", "NIXERY_CHANNEL": "../x", "NIXERY_STORAGE_BACKEND": "gcs"},
	})
	for _, says := range []string{
		file + `:1:8: want a number from 0 to 100000, found "many"`,
		file + `:2:1: unknown key "build"; did you mean builds?`,
		file + ":3:10: timeout: want time",
		file + ":4:7: fresh: want time",
		file + ":5:1: queue is given twice",
		`--builds: want a number from 1 to 1000, found "0"`,
		`--grace: want a time such as 90s or 15m, found "soon"`,
		`--redirect: want true or false, found "yes"`,
		`--allow: want a package, as in git or python3Packages.requests, where * at the end of a component is the rest of it; found "a b"`,
		`--eval-memory: want memory such as 512MiB or 4GiB, or 0 for no bound, found "1"`,
		`--eval-path: want a path, or the beginning of a URL as https://example.org/pins/, found "https:"`,
		`--github-api: want a URL such as https://github.example.org/api/v3, found "https://token@github.example.org"`,
		`--log-format: want one of auto, text, json, found "xml"`,
		`$PORT: want a number from 0 to 65535, found "http"`,
		"$NIXERY_CHANNEL: channel: ",
		"$NIXERY_STORAGE_BACKEND: gcs needs $GCS_BUCKET",
	} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error does not say %q:\n%v", says, err)
		}
	}
	if errs, ok := errors.AsType[Errors](err); !ok || len(errs) != 16 {
		t.Errorf("%d errors", len(errs))
	}
}

func TestSingleErrors(t *testing.T) {
	for says, p := range map[string]places{
		"storage: say where blobs are to be kept":             {},
		"$NIXERY_STORAGE_BACKEND: want one of filesystem":     {Env: variables{"NIXERY_STORAGE_BACKEND": "ftp"}},
		"$GCS_BUCKET: want a bucket's name":                   {Env: variables{"NIXERY_STORAGE_BACKEND": "gcs", "GCS_BUCKET": "a/b"}},
		"$NIXERY_PKGS_REPO: there is $NIXERY_CHANNEL already": {Env: variables{"NIXERY_STORAGE": "x", "NIXERY_CHANNEL": "nixos-25.11", "NIXERY_PKGS_REPO": "https://x.example/y"}},
		"--storage: want one value":                           {Flags: map[string][]string{"storage": {"a", "b"}}},
		"no such file":                                        {Flags: map[string][]string{"storage": {"a"}, "config": {"/nonexistent.yaml"}}},
		"want a mapping":                                      {Flags: map[string][]string{"storage": {"a"}, "config": {write(t, "[a]")}}},
		"is larger than":                                      {Flags: map[string][]string{"storage": {"a"}, "config": {write(t, strings.Repeat("#", maxFile+1))}}},
	} {
		_, err := readPlaces(p)
		if errs, ok := errors.AsType[Errors](err); !ok || len(errs) != 1 || !strings.Contains(err.Error(), says) {
			t.Errorf("error does not say %q alone: %v", says, err)
		}
	}
}

// A repository's URL may hold a password by mistake.
func TestErrorsRepeatNoPassword(t *testing.T) {
	_, err := readPlaces(places{Env: variables{"NIXERY_STORAGE": "x", "NIXERY_PKGS_REPO": "htps://u:hunter2@x.example/y"}})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error is %v", err)
	}
}

func TestTableIsConsistent(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range Table {
		for _, name := range []string{row.Flag, row.Env} {
			if name != "" && seen[name] {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
		}
		if row.name() == "" || row.Help == "" || row.Value == "" || strings.HasSuffix(row.Help, ".") {
			t.Errorf("row %+v is not whole", row)
		}
	}
}

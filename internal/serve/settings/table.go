package settings

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/nixery-action/internal/serve/route"
)

// Setting is a row of the table.
type Setting struct {
	Flag    string // its name as a flag and as a key of the file; "" if it is the environment's only
	Env     string // its variable; "" if it has none
	Default string
	Value   string // what it is, in a word
	Help    string // one line
	List    bool   // may be given several times, or with commas
	set     func(*draft, string) error
}

func (row *Setting) name() string {
	if row.Flag != "" {
		return row.Flag
	}
	return row.Env
}

// Table is all there is to set, in the order of the documentation.
var Table = []Setting{
	{Flag: "config", Env: "NIXERY_CONFIG", Value: "file", Help: "YAML file with settings, by the names of the flags", set: ignore},
	{Flag: "address", Env: "NIXERY_ADDRESS", Value: "host", Help: "address to listen on: 127.0.0.1, or all with --public. Another one needs --htpasswd or --public", set: address},
	{Flag: "public", Env: "NIXERY_PUBLIC", Default: "false", Value: "bool", Help: "serve other machines also without --htpasswd; listens on all addresses unless --address names one",
		set: func(d *draft, v string) error { return boolean(&d.Public, v) }},
	{Flag: "host", Env: "NIXERY_HOST", Value: "name", List: true, Help: "name by which clients call the server; requests for other names are refused", set: host},
	{Flag: "proxy", Env: "NIXERY_PROXY", Value: "network", List: true, Help: "address or network of proxies in front, as 10.0.0.0/8: their X-Forwarded-For names the client", set: proxy},
	{Flag: "port", Env: "PORT", Default: "8080", Value: "number", Help: "port to listen on; 0 takes a free one",
		set: func(d *draft, v string) error { return number(&d.Port, v, 0, 65535) }},
	{Flag: "channel", Env: "NIXERY_CHANNEL", Value: "channel", Help: "packages come from this channel of nixpkgs, or commit; nixos-unstable if there is no other source", set: ignore},
	{Flag: "pkgs-repo", Env: "NIXERY_PKGS_REPO", Value: "URL", Help: "packages come from this git repository; an image's tag is a branch, or a commit of a branch or tag", set: ignore},
	{Flag: "pkgs-path", Env: "NIXERY_PKGS_PATH", Value: "path", Help: "packages come from this folder or file", set: ignore},
	{Flag: "storage", Env: "NIXERY_STORAGE", Value: "location", Help: "where blobs are kept: a folder, mem://, gs://BUCKET or s3://BUCKET", set: ignore},
	{Env: "NIXERY_STORAGE_BACKEND", Value: "word", Help: "`filesystem`, `gcs` or `s3`, with one of the next three, in place of a location", set: backend},
	{Env: "STORAGE_PATH", Value: "path", Help: "the folder, for `filesystem`", set: ignore},
	{Env: "GCS_BUCKET", Value: "name", Help: "the bucket, for `gcs`", set: bucketName},
	{Env: "S3_BUCKET", Value: "name", Help: "the bucket, for `s3`", set: bucketName},
	{Env: "AWS_REGION", Value: "region", Default: "us-east-1", Help: "where the bucket is, for `s3`", set: region},
	{Flag: "cache-key-file", Env: "NIXERY_CACHE_KEY_FILE", Value: "file", Help: "a file with a secret; only what was cached with it is believed",
		set: func(d *draft, v string) error { d.CacheKeyFile = v; return nil }},
	{Flag: "redirect", Env: "NIXERY_REDIRECT", Default: "false", Value: "bool", Help: "send clients to the bucket itself, by URLs that last five minutes",
		set: func(d *draft, v string) error { return boolean(&d.Redirect, v) }},
	{Flag: "popularity", Env: "NIX_POPULARITY_URL", Default: "embedded", Value: "source", Help: "popularity table: a URL, a file, embedded or none",
		set: func(d *draft, v string) error { d.Popularity = v; return nil }},
	{Flag: "timeout", Env: "NIX_TIMEOUT", Default: "30m", Value: "time", Help: "longest time for a build; a number alone is seconds",
		set: func(d *draft, v string) error { return duration(&d.Timeout, v) }},
	{Flag: "builds", Env: "NIXERY_BUILDS", Default: "2", Value: "number", Help: "builds at a time",
		set: func(d *draft, v string) error { return number(&d.Builds, v, 1, 1000) }},
	{Flag: "queue", Env: "NIXERY_QUEUE", Default: "64", Value: "number", Help: "builds that may wait; more are answered with 429",
		set: func(d *draft, v string) error { return number(&d.Queue, v, 0, 100_000) }},
	{Flag: "share", Env: "NIXERY_SHARE", Default: "16", Value: "number", Help: "builds that may wait for one client, a user or an address; more are answered with 429",
		set: func(d *draft, v string) error { return number(&d.Share, v, 1, 100_000) }},
	{Flag: "fresh", Env: "NIXERY_FRESH", Default: "5m", Value: "time", Help: "how long a channel or branch is taken to be what it was",
		set: func(d *draft, v string) error { return duration(&d.Fresh, v) }},
	{Flag: "architectures", Env: "NIXERY_ARCHITECTURES", Value: "word", List: true,
		Help: "what indexes have, the first for clients that take none; amd64 and arm64 if nothing is said", set: architecture},
	{Flag: "commits", Env: "NIXERY_COMMITS", Default: "false", Value: "bool", Help: "with a channel, a tag may be a commit on a branch of nixpkgs; GitHub's API is asked whether it is",
		set: func(d *draft, v string) error { return boolean(&d.Commits, v) }},
	{Flag: "github-api", Env: "NIXERY_GITHUB_API", Default: "https://api.github.com", Value: "URL", Help: "GitHub's API, for --commits", set: api},
	{Flag: "allow", Env: "NIXERY_ALLOW", Value: "package", List: true, Help: "only these packages; python3Packages.* allows all in that set, and nothing below them. See What may be pulled",
		set: allow},
	{Flag: "packages", Env: "NIXERY_PACKAGES", Default: "64", Value: "number", Help: "packages that a name may have",
		set: func(d *draft, v string) error { return number(&d.Packages, v, 1, 128) }},
	{Flag: "eval-path", Env: "NIXERY_EVAL_PATH", Value: "path", List: true, Help: "path, or beginning of a URL, that expressions may read beside the package source", set: readable},
	{Flag: "eval-imports", Env: "NIXERY_EVAL_IMPORTS", Default: "false", Value: "bool", Help: "let expressions build packages to read them (import from derivation)",
		set: func(d *draft, v string) error { return boolean(&d.Imports, v) }},
	{Flag: "eval-memory", Env: "NIXERY_EVAL_MEMORY", Default: "4GiB", Value: "size", Help: "address space that one evaluation may take; 0 for no bound", set: memory},
	{Flag: "eval-cpu", Env: "NIXERY_EVAL_CPU", Default: "5m", Value: "time", Help: "processor time that one evaluation may take; 0 for no bound", set: cpu},
	{Flag: "unsafe", Env: "NIXERY_UNSAFE", Default: "false", Value: "bool", Help: "with --public, build although Nix has no sandbox: builders then read what this machine's user reads",
		set: func(d *draft, v string) error { return boolean(&d.Unsafe, v) }},
	{Flag: "htpasswd", Env: "NIXERY_HTPASSWD", Value: "file", Help: "users and their bcrypt hashes, as htpasswd -B writes them; without it all may pull",
		set: func(d *draft, v string) error { d.Htpasswd = v; return nil }},
	{Flag: "log-format", Env: "NIXERY_LOG_FORMAT", Default: "auto", Value: "word", Help: "text, json as Google's log service reads it, or auto: text on a terminal",
		set: func(d *draft, v string) error { return oneOf(&d.LogFormat, v, "auto", "text", "json") }},
	{Flag: "min-free", Env: "NIXERY_MIN_FREE", Default: "256MiB", Value: "size", Help: "free space of disks below which the server is not ready and builds nothing; 0 for no limit",
		set: func(d *draft, v string) error { return size(&d.MinFree, v) }},
	{Flag: "shutdown-delay", Env: "NIXERY_SHUTDOWN_DELAY", Default: "5s", Value: "time", Help: "how long requests are still accepted after SIGTERM, while /readyz reports 503; 0 for none",
		set: func(d *draft, v string) error { return pause(&d.ShutdownDelay, v) }},
	{Flag: "grace", Env: "NIXERY_GRACE", Default: "20s", Value: "time", Help: "how long downloads may go on once the server stopped listening",
		set: func(d *draft, v string) error { return duration(&d.Grace, v) }},
}

// ignore is for what is read together with others.
func ignore(*draft, string) error { return nil }

func number(into *int, text string, least, most int) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return fmt.Errorf("want a number from %d to %d, found %.100q", least, most, text)
	}
	*into = n
	return nil
}

func boolean(into *bool, text string) error {
	b, err := strconv.ParseBool(text)
	if err != nil {
		return fmt.Errorf("want true or false, found %.100q", text)
	}
	*into = b
	return nil
}

// duration reads Go's way of writing a time, and Nixery's, which is seconds.
func duration(into *time.Duration, text string) error {
	if _, err := strconv.ParseUint(text, 10, 31); err == nil {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return fmt.Errorf("want a time such as 90s or 15m, found %.100q", text)
	}
	*into = d
	return nil
}

// pause is a duration that may be none.
func pause(into *time.Duration, text string) error {
	if text == "0" || text == "0s" {
		*into = 0
		return nil
	}
	return duration(into, text)
}

var (
	sizeForm  = regexp.MustCompile(`^([0-9]{1,12})\s*([A-Za-z]*)$`)
	sizeUnits = map[string]int64{"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
)

// Bytes reads a number of bytes.
func size(into *int64, text string) error {
	m := sizeForm.FindStringSubmatch(text)
	if m != nil {
		n, err := strconv.ParseInt(m[1], 10, 64)
		unit := sizeUnits[strings.ToUpper(m[2])]
		if err == nil && unit > 0 && n <= math.MaxInt64/unit {
			*into = n * unit
			return nil
		}
	}
	return fmt.Errorf("want a size such as 500MB or 2GiB, found %.100q", text)
}

func oneOf(into *string, text string, words ...string) error {
	for _, word := range words {
		if text == word {
			*into = text
			return nil
		}
	}
	return fmt.Errorf("want one of %s, found %.100q", strings.Join(words, ", "), text)
}

func architecture(d *draft, text string) error {
	var word string
	if err := oneOf(&word, text, route.Architectures...); err != nil {
		return err
	}
	if !slices.Contains(d.Architectures, word) {
		d.Architectures = append(d.Architectures, word)
	}
	return nil
}

func backend(_ *draft, text string) error {
	var word string
	return oneOf(&word, text, "filesystem", "gcs", "s3")
}

var (
	bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`)
	regionForm = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
)

func bucketName(_ *draft, text string) error {
	if !bucketForm.MatchString(text) {
		return fmt.Errorf("want a bucket's name, found %.100q", text)
	}
	return nil
}

func region(_ *draft, text string) error {
	if !regionForm.MatchString(text) {
		return errors.New("want the name of a region")
	}
	return nil
}

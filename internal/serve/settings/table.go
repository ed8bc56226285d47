package settings

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"path/filepath"
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
	Value   string                     // what it is, in a word
	Help    string                     // one line
	List    bool                       // may be given several times, or with commas
	set     func(*draft, string) error // nil for what is read together with others
}

func (row *Setting) name() string {
	if row.Flag != "" {
		return row.Flag
	}
	return row.Env
}

// Table is all there is to set, in the order of the documentation.
var Table = []Setting{
	{Flag: "config", Env: "NIXERY_CONFIG", Value: "file", Help: "YAML file with settings, by the names of the flags"},
	{Flag: "address", Env: "NIXERY_ADDRESS", Value: "host", Help: "address to listen on: 127.0.0.1, or all with --public. Another one needs --htpasswd or --public", set: address},
	{Flag: "public", Env: "NIXERY_PUBLIC", Default: "false", Value: "bool", Help: "serve other machines also without --htpasswd; listens on all addresses unless --address names one",
		set: func(d *draft, v string) error { return boolean(&d.Public, v) }},
	{Flag: "host", Env: "NIXERY_HOST", Value: "name", List: true, Help: "name by which clients call the server; requests for other names are refused", set: host},
	{Flag: "proxy", Env: "NIXERY_PROXY", Value: "network", List: true, Help: "address or network of proxies in front, as 10.0.0.0/8: their X-Forwarded-For names the client", set: proxy},
	{Flag: "port", Env: "PORT", Default: "8080", Value: "number", Help: "port to listen on; 0 takes a free one",
		set: func(d *draft, v string) error { return number(&d.Port, v, 0, 65535) }},
	{Flag: "channel", Env: "NIXERY_CHANNEL", Value: "channel", Help: "packages come from this channel of nixpkgs, or commit; nixos-unstable if there is no other source"},
	{Flag: "pkgs-repo", Env: "NIXERY_PKGS_REPO", Value: "URL", Help: "packages come from this git repository; an image's tag is a branch, or a commit of a branch or tag"},
	{Flag: "pkgs-path", Env: "NIXERY_PKGS_PATH", Value: "path", Help: "packages come from this directory or file"},
	{Flag: "storage", Env: "NIXERY_STORAGE", Value: "location", Help: "where blobs are kept: a directory, mem://, gs://BUCKET or s3://BUCKET"},
	{Env: "NIXERY_STORAGE_BACKEND", Value: "word", Help: "`filesystem`, `gcs` or `s3`, with one of the next three, in place of a location", set: backend},
	{Env: "STORAGE_PATH", Value: "path", Help: "the directory, for `filesystem`"},
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

// loopback is where a server listens unless the settings say otherwise: only programs on the same machine reach it.
const loopback = "127.0.0.1"

// exposure decides on the address. One that other machines reach needs either passwords or --public: a server that builds for
// strangers by mistake is worse than one that cannot be reached.
func (d *draft) exposure() {
	at, given := d.given("address")
	if !given {
		if !d.Public {
			d.Address = loopback
		}
		return
	}
	unread := d.Address == "" && at.Texts[0] != "" // reported already
	if len(at.Texts) != 1 || unread || d.Public || d.Htpasswd != "" || isLoopback(d.Address) {
		return
	}
	d.check(at.Place, fmt.Errorf("%s can be reached from other machines, and no password protects it: add --htpasswd FILE, "+
		"or --public to build for all who reach it", described(d.Address)))
}

func described(address string) string {
	if address == "" {
		return "every address of this machine"
	}
	return fmt.Sprintf("%.100q", address)
}

// LoopbackOnly reports whether only this machine reaches the server, so that all its clients are one.
func (s Settings) LoopbackOnly() bool { return !s.Public && isLoopback(s.Address) }

func isLoopback(address string) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && ip.Unmap().IsLoopback()
}

// address reads a name or IP address without a port. localhost is the IPv4 address: what the machine's resolver makes of the name
// decides nothing about exposure.
func address(d *draft, text string) error {
	text = unbracketed(text)
	if strings.EqualFold(strings.TrimSuffix(text, "."), "localhost") {
		text = loopback
	}
	if _, err := netip.ParseAddr(text); err != nil && text != "" && !hostForm.MatchString(text) {
		return fmt.Errorf("want a host name or IP address without a port, found %.100q", text)
	}
	d.Address = text
	return nil
}

var hostForm = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}[A-Za-z0-9_])?)*$`)

// host reads a name by which clients call the server, as their Host header has it, without the port.
func host(d *draft, text string) error {
	name := strings.ToLower(strings.TrimSuffix(unbracketed(text), "."))
	if ip, err := netip.ParseAddr(name); err == nil {
		name = ip.Unmap().WithZone("").String()
	} else if len(name) > 253 || !hostForm.MatchString(name) {
		return fmt.Errorf("want a host name or IP address, without scheme and port, found %.100q", text)
	}
	d.Hosts = append(d.Hosts, name)
	return nil
}

func unbracketed(text string) string {
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		return strings.TrimSuffix(inner, "]")
	}
	return text
}

// proxy reads the address, or the network, of proxies whose X-Forwarded-For is believed.
func proxy(d *draft, text string) error {
	prefix, err := netip.ParsePrefix(text)
	if ip, ipErr := netip.ParseAddr(text); ipErr == nil {
		ip = ip.Unmap().WithZone("")
		prefix, err = netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	if err != nil {
		return fmt.Errorf("want an IP address or network, as 10.0.0.0/8, found %.100q", text)
	}
	if prefix.Bits() == 0 {
		return errors.New("all addresses cannot be proxies: any client could name another's address")
	}
	d.Proxies = append(d.Proxies, prefix.Masked())
	return nil
}

// Evaluation is what expressions may reach and take, and what clients may have evaluated.
type Evaluation struct {
	Commits   bool          // of nixpkgs, as tags
	GitHubAPI string        // asked whose commits they are
	Packages  int           // in a name
	Allow     []string      // rules of packages; none means all
	Paths     []string      // and addresses that expressions may read beside the source
	Imports   bool          // from derivations
	Memory    uint64        // bytes of one evaluation; 0 for no bound
	CPU       time.Duration // of one evaluation; 0 for no bound
	Unsafe    bool          // build without a sandbox for all who reach the server
}

func allow(d *draft, text string) error {
	if err := route.CheckRule(text); err != nil {
		return err
	}
	d.Allow = append(d.Allow, text)
	return nil
}

var (
	schemeForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)
	// A URL has at least a host or a path: a scheme alone would let expressions fetch anything.
	addressForm = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://[^\s]+$`)
)

func readable(d *draft, text string) error {
	if !addressForm.MatchString(text) {
		path, err := filepath.Abs(text)
		if err != nil || text == "" || schemeForm.MatchString(text) || strings.Contains(text, "\n") {
			return fmt.Errorf("want a path, or the beginning of a URL as https://example.org/pins/, found %.100q", text)
		}
		text = path
	}
	d.Paths = append(d.Paths, text)
	return nil
}

func api(d *draft, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return fmt.Errorf("want a URL such as https://github.example.org/api/v3, found %.100q", text)
	}
	d.GitHubAPI = strings.TrimSuffix(text, "/")
	return nil
}

var memoryUnits = map[string]uint64{"": 1, "MiB": 1 << 20, "GiB": 1 << 30}

var memoryForm = regexp.MustCompile(`^([0-9]{1,12})(MiB|GiB|)$`)

// memory reads bytes. Below leastMemory no package set evaluates, and above mostMemory is no number of a machine.
func memory(d *draft, text string) error {
	const leastMemory, mostMemory = 64 << 20, 1 << 50
	match := memoryForm.FindStringSubmatch(text)
	if match != nil {
		n, err := strconv.ParseUint(match[1], 10, 40)
		if unit := memoryUnits[match[2]]; err == nil && (n == 0 || n*unit >= leastMemory && n*unit <= mostMemory) {
			d.Memory = n * unit
			return nil
		}
	}
	return fmt.Errorf("want memory such as 512MiB or 4GiB, or 0 for no bound, found %.100q", text)
}

func cpu(d *draft, text string) error {
	if text == "0" {
		d.CPU = 0
		return nil
	}
	return duration(&d.CPU, text)
}

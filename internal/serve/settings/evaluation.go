package settings

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/org/nixery-action/internal/serve/route"
)

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

// Package settings turns flags, the environment and a YAML file into what a registry is started with. It stands apart because who
// runs a registry meets all three, and is told of everything that is wrong at once, with the place where it was said.
//
// The invariant: one table has every setting; flags, help text, file keys and the page's table are made from it.
package settings

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/org/nixery-action/internal/spec"
)

// Settings are what was asked for, checked. Whether files and buckets are there is not.
type Settings struct {
	Evaluation
	Address      string // to listen on; "" is all
	Port         int
	Public       bool           // all who reach the server may use it
	Hosts        []string       // names that requests are for, in lower case; none means that the exposure decides
	Proxies      []netip.Prefix // whose X-Forwarded-For is believed
	Nixpkgs      spec.Nixpkgs
	Storage      string // as depot.Open reads it
	CacheKeyFile string // or ""
	Redirect     bool
	Popularity   string        // as popularity.Load reads it
	Timeout      time.Duration // of a build
	Builds       int           // at a time
	Queue        int           // builds that wait
	Share        int           // builds that wait for one client
	Fresh        time.Duration // how long what a moving tag stands for is believed
	// Architectures are those of indexes, the first that of clients without; none means serve's default.
	Architectures []string
	Htpasswd      string        // file, or ""
	LogFormat     string        // text, json or auto
	MinFree       int64         // bytes, of disks
	ShutdownDelay time.Duration // between SIGTERM and the end of the listener
	Grace         time.Duration // for downloads, after that
}

// Places are where settings are said, strongest first.
type Places struct {
	Flags map[string][]string         // those that were given, by name
	Env   func(string) (string, bool) // as os.LookupEnv; an empty variable counts as absent
}

// Errors is all that is wrong, each with its origin.
type Errors []error

func (e Errors) Error() string { return errors.Join(e...).Error() }

// Unwrap lets each be matched.
func (e Errors) Unwrap() []error { return e }

// Read finds every setting in the strongest place that has it: a flag, the environment, the file that --config names, the default.
// Its error is of the type Errors.
func Read(p Places) (Settings, error) {
	d := &draft{said: map[string]said{}}
	file := d.file(p)
	for i := range Table {
		row := &Table[i]
		d.take(row, row.find(p, file))
	}
	d.nixpkgs()
	d.storage()
	d.exposure()
	if len(d.errs) > 0 {
		return Settings{}, d.errs
	}
	return d.Settings, nil
}

// said is a value and where it was said.
type said struct {
	values []string
	origin string
	rank   int // flag 3, environment 2, file 1, default 0
}

// draft is Settings in the making.
type draft struct {
	Settings
	said map[string]said // all that is not a default, by the row's name
	errs Errors
}

func (d *draft) fail(origin string, err error) {
	d.errs = append(d.errs, fmt.Errorf("%s: %w", origin, err))
}

func (d *draft) take(row *Setting, s said) {
	if s.rank > 0 {
		d.said[row.name()] = s
	}
	if len(s.values) > 1 && !row.List {
		d.fail(s.origin, errors.New("want one value, found several"))
		return
	}
	for _, value := range s.values {
		if err := row.set(d, value); err != nil {
			d.fail(s.origin, err)
		}
	}
}

// find is the strongest place's word.
func (row *Setting) find(p Places, file map[string]said) said {
	if values, ok := p.Flags[row.Flag]; ok && row.Flag != "" {
		return said{row.split(values), "--" + row.Flag, 3}
	}
	if value, ok := lookup(p, row.Env); ok {
		return said{row.split([]string{value}), "$" + row.Env, 2}
	}
	if s, ok := file[row.Flag]; ok && row.Flag != "" {
		return s
	}
	if row.Default == "" {
		return said{}
	}
	return said{values: []string{row.Default}, origin: "default of " + row.name()}
}

// split lets one value hold several, where several are allowed.
func (row *Setting) split(values []string) []string {
	if !row.List {
		return values
	}
	var all []string
	for _, value := range values {
		for _, one := range strings.Split(value, ",") {
			all = append(all, strings.TrimSpace(one))
		}
	}
	return all
}

func lookup(p Places, name string) (string, bool) {
	if name == "" || p.Env == nil {
		return "", false
	}
	value, ok := p.Env(name)
	return value, ok && value != ""
}

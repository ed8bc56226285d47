// Package settings reads what a registry is started with, by koanf, from four sources. The later one wins, setting by setting:
//
//	Table's defaults ◀ file of --config ◀ environment ◀ flags
//
// Every value keeps the place where it was written, so that all errors of all sources are reported at once, each with its place:
//
//	serve.yaml:3:10: timeout: want time
//	$PORT: want a number from 0 to 65535, found "http"
//	--builds: want a number from 1 to 1000, found "0"
//
// The invariant: one table has every setting; flags, help text, file keys and the table of docs/serve.md are made from it.
package settings

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"

	"github.com/org/nixery-action/internal/plainfile"
	"github.com/org/nixery-action/internal/spec"
	"github.com/org/nixery-action/internal/suggest"
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
	Storage      string // as blobstore.Open reads it
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

// Errors is all that is wrong, each error with its place.
type Errors []error

func (e Errors) Error() string { return errors.Join(e...).Error() }

// Unwrap lets each be matched.
func (e Errors) Unwrap() []error { return e }

// source ranks where a value was written; the higher one wins.
type source int

const (
	fromDefault source = iota
	fromFile
	fromEnvironment
	fromFlag
)

// value is what a koanf holds for each setting. Its fields are exported because koanf copies what it returns, by reflection.
type value struct {
	Texts  []string
	Place  string // "--port", "$PORT" or "serve.yaml:1:7"
	Source source
}

// Read reads every setting from the strongest source that has it: flags are those that AddFlags has defined, environ is as os.Environ
// returns it. An empty variable counts as absent. The error is of the type Errors.
func Read(flags *pflag.FlagSet, environ func() []string) (Settings, error) {
	d := &draft{koanf: koanf.New(".")}
	given := koanf.New(".") // what decides which file is read
	d.check("settings", given.Load(env.Provider("", env.Opt{EnvironFunc: environ, TransformFunc: fromVariable}), nil))
	d.check("settings", given.Load(posflag.ProviderWithFlag(flags, ".", nil, fromGivenFlag), nil))
	d.check("settings", d.koanf.Load(confmap.Provider(defaults(), ""), nil))
	if at, ok := given.Get("config").(value); ok && len(at.Texts) == 1 {
		d.check("settings", d.koanf.Load(confmap.Provider(d.readFile(at), ""), nil))
	}
	d.check("settings", d.koanf.Merge(given))
	for i := range Table {
		d.take(&Table[i])
	}
	d.nixpkgs()
	d.storage()
	d.exposure()
	if len(d.errs) > 0 {
		return Settings{}, d.errs
	}
	return d.Settings, nil
}

func defaults() map[string]any {
	all := map[string]any{}
	for i := range Table {
		if row := &Table[i]; row.Default != "" {
			all[row.name()] = value{[]string{row.Default}, "default of " + row.name(), fromDefault}
		}
	}
	return all
}

// fromVariable maps a variable to its setting; koanf ignores an empty name.
func fromVariable(name, text string) (string, any) {
	for i := range Table {
		if row := &Table[i]; row.Env == name && text != "" {
			return row.name(), value{row.split([]string{text}), "$" + name, fromEnvironment}
		}
	}
	return "", nil
}

// fromGivenFlag maps a flag of AddFlags to its setting; the program's other flags are ignored.
func fromGivenFlag(f *pflag.Flag) (string, any) {
	given, ok := f.Value.(*flagValue)
	if !ok {
		return "", nil
	}
	return f.Name, value{given.row.split(given.texts), "--" + f.Name, fromFlag}
}

// AddFlags defines a flag for each row of the table that has one.
func AddFlags(flags *pflag.FlagSet) {
	for i := range Table {
		row := &Table[i]
		if row.Flag == "" {
			continue
		}
		usage := row.Help
		if row.List {
			usage += " (repeatable)"
		}
		flag := flags.VarPF(&flagValue{row: row}, row.Flag, "", usage+" [$"+row.Env+"]")
		if row.Value == "bool" {
			flag.NoOptDefVal = "true"
		}
	}
}

// flagValue keeps what a flag was given as text: Read checks it together with the other sources.
type flagValue struct {
	row   *Setting
	texts []string
}

// String returns the default, for the help text. pflag calls it on a zero value, too.
func (f *flagValue) String() string {
	if f.row == nil {
		return ""
	}
	return f.row.Default
}

// Set implements [pflag.Value].
func (f *flagValue) Set(text string) error {
	f.texts = append(f.texts, text)
	return nil
}

// Type implements [pflag.Value].
func (f *flagValue) Type() string { return f.row.Value }

// draft is Settings while they are read, with the values that they are read from.
type draft struct {
	Settings
	koanf *koanf.Koanf
	errs  Errors
}

// check adds an error, if there is one, with its place.
func (d *draft) check(place string, err error) {
	if err != nil {
		d.errs = append(d.errs, fmt.Errorf("%s: %w", place, err))
	}
}

// given returns a value that a source other than the defaults has, by the name of its row.
func (d *draft) given(name string) (value, bool) {
	v, ok := d.koanf.Get(name).(value)
	return v, ok && v.Source > fromDefault
}

// take checks a row's value, and sets what it is a value of.
func (d *draft) take(row *Setting) {
	v, _ := d.koanf.Get(row.name()).(value)
	if len(v.Texts) > 1 && !row.List {
		d.check(v.Place, errors.New("want one value, found several"))
		return
	}
	for _, text := range v.Texts {
		if row.set != nil {
			d.check(v.Place, row.set(d, text))
		}
	}
}

// split splits values at commas, where a setting is a list: "a, b" ▶ "a" "b".
func (row *Setting) split(texts []string) []string {
	if !row.List {
		return texts
	}
	all := strings.Split(strings.Join(texts, ","), ",")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return all
}

// maxFile bounds the file, in bytes.
const maxFile = 1 << 20

// readFile returns the values of the YAML file that --config or its variable names.
func (d *draft) readFile(at value) map[string]any {
	root, err := parseFile(at.Texts[0])
	if err != nil {
		d.check(at.Place, err)
		return nil
	}
	return d.keys(at.Texts[0], root)
}

// parseFile returns the root of a document; an empty one is an empty mapping.
func parseFile(path string) (*yaml.Node, error) {
	f, err := plainfile.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if document.Kind == 0 {
		return &yaml.Node{Kind: yaml.MappingNode}, nil
	}
	return document.Content[0], nil
}

// keys returns the values of a mapping; wrong ones are left out, and reported.
func (d *draft) keys(path string, root *yaml.Node) map[string]any {
	found := map[string]any{}
	if root.Kind != yaml.MappingNode {
		d.check(place(path, root), errors.New("want a mapping, name: value"))
	}
	for i := 0; root.Kind == yaml.MappingNode && i+1 < len(root.Content); i += 2 {
		key, node := root.Content[i], root.Content[i+1]
		row := inFile(key.Value)
		if row == nil {
			d.check(place(path, key), unknown(key.Value))
			continue
		}
		if found[key.Value] != nil {
			d.check(place(path, key), fmt.Errorf("%s is given twice", key.Value))
			continue
		}
		texts, err := scalars(row, node)
		if err != nil {
			d.check(place(path, node), fmt.Errorf("%s: %w", key.Value, err))
			continue
		}
		found[key.Value] = value{texts, place(path, node), fromFile}
	}
	return found
}

// inFile returns the row of a key, or nil.
func inFile(name string) *Setting {
	for i := range Table {
		if row := &Table[i]; row.Flag == name && name != "" && name != "config" {
			return row
		}
	}
	return nil
}

func unknown(name string) error {
	var names []string
	for _, row := range Table {
		if inFile(row.Flag) != nil {
			names = append(names, row.Flag)
		}
	}
	if near := suggest.Nearest(name, names, 1); len(near) > 0 {
		return fmt.Errorf("unknown key %.100q; did you mean %s?", name, near[0])
	}
	return fmt.Errorf("unknown key %.100q", name)
}

// scalars returns the text of a scalar, or the texts of a list of them.
func scalars(row *Setting, n *yaml.Node) ([]string, error) {
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
		return []string{n.Value}, nil
	case n.Kind != yaml.SequenceNode || !row.List:
		return nil, errors.New("want " + row.Value)
	}
	var values []string
	for _, one := range n.Content {
		if one.Kind != yaml.ScalarNode {
			return nil, errors.New("want a list of words")
		}
		values = append(values, one.Value)
	}
	return values, nil
}

func place(path string, n *yaml.Node) string { return fmt.Sprintf("%s:%d:%d", path, n.Line, n.Column) }

// packageSources are the settings that say where packages come from, and the key of a spec that each is.
var packageSources = []struct{ setting, key string }{{"channel", "channel"}, {"pkgs-repo", "git"}, {"pkgs-path", "path"}}

// nixpkgs sets the package source: that of the strongest source of settings. The spec's own grammar checks it.
func (d *draft) nixpkgs() {
	best := value{Texts: []string{"nixos-unstable"}, Place: "default of channel"}
	key, setting := "channel", "channel"
	for _, packages := range packageSources {
		v, ok := d.given(packages.setting)
		switch {
		case !ok || len(v.Texts) != 1 || v.Source < best.Source:
		case v.Source == best.Source:
			d.check(v.Place, fmt.Errorf("there is %s already; packages come from one place", best.Place))
			return
		default:
			best, key, setting = v, packages.key, packages.setting
		}
	}
	var err error
	if d.Nixpkgs, err = parseNixpkgs(key, best.Texts[0]); err != nil {
		d.check(best.Place, fmt.Errorf("%s: %w", setting, err))
	}
}

// parseNixpkgs reads a value as a spec would.
func parseNixpkgs(key, value string) (spec.Nixpkgs, error) {
	var written any = value
	switch key {
	case "git":
		written = map[string]string{"url": value}
	case "path":
		path, err := filepath.Abs(value)
		if err != nil {
			return spec.Nixpkgs{}, err
		}
		written = path
	}
	text, err := yaml.Marshal(map[string]any{"packages": []string{"hello"}, "nixpkgs": map[string]any{key: written}})
	if err != nil {
		return spec.Nixpkgs{}, fmt.Errorf("writing as YAML: %w", err)
	}
	s, err := spec.Parse("nixery.yaml", text, nil)
	if errs, ok := errors.AsType[spec.Errors](err); ok && len(errs) > 0 {
		return spec.Nixpkgs{}, errors.New(errs[0].Message)
	}
	if err != nil {
		return spec.Nixpkgs{}, err
	}
	from := s.Nixpkgs
	from.Pos = spec.Position{} // the spec above has no reader
	return from, nil
}

// storage sets the location of blobs, or makes it of Nixery's variables, which count only if --storage is not given:
//
//	NIXERY_STORAGE_BACKEND=s3 S3_BUCKET=images AWS_REGION=eu-west-1 ▶ s3://images?region=eu-west-1
func (d *draft) storage() {
	if v, ok := d.given("storage"); ok {
		d.Storage = v.Texts[0]
		return
	}
	backend, ok := d.given("NIXERY_STORAGE_BACKEND")
	if !ok {
		d.errs = append(d.errs, errors.New("storage: say where blobs are to be kept, as --storage ./blobs"))
		return
	}
	variable := map[string]string{"filesystem": "STORAGE_PATH", "gcs": "GCS_BUCKET", "s3": "S3_BUCKET"}[backend.Texts[0]]
	if variable == "" {
		return // it was reported already
	}
	at, ok := d.given(variable)
	if !ok {
		d.check(backend.Place, fmt.Errorf("%s needs $%s", backend.Texts[0], variable))
		return
	}
	switch d.Storage = at.Texts[0]; variable {
	case "GCS_BUCKET":
		d.Storage = "gs://" + d.Storage
	case "S3_BUCKET":
		region, _ := d.koanf.Get("AWS_REGION").(value) // it has a default
		d.Storage = "s3://" + d.Storage + "?region=" + region.Texts[0]
	}
}

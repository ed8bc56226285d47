package publish

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// OutputKind is the kind of destination that an output asks for.
type OutputKind string

// The kinds of output. docker's type=image is ToRegistry that only pushes if told to, and its type=docker is ToArchive
// with dest and ToDaemon without.
const (
	ToRegistry OutputKind = "registry"
	ToLayout   OutputKind = "oci"
	ToArchive  OutputKind = "docker"
	ToDaemon   OutputKind = "daemon"
)

// Output is a destination in docker's words, https://docs.docker.com/reference/cli/docker/buildx/build/#output.
type Output struct {
	Kind OutputKind
	// Dest is the path of a layout or archive; "-" is standard output.
	Dest string
	// Tar says whether a layout is one tar file: asked for with tar=, else if Dest is "-" or ends in .tar.
	Tar bool
	// Names are the references of name=, as written; they take the place of the tags given elsewhere, for this output alone.
	Names []string
	// Push is true for type=registry and push=true. Without it type=image does nothing by itself.
	Push bool
	// NoPush says that push=false is written.
	NoPush bool
	// PushByDigest asks for no tags.
	PushByDigest bool
	// Insecure is registry.insecure=true.
	Insecure bool
}

// outputKeys are the keys that each type understands, beside type and name.
var outputKeys = map[string][]string{
	"registry": {"push", "push-by-digest", "name-canonical", "registry.insecure"},
	"image":    {"push", "push-by-digest", "name-canonical", "registry.insecure"},
	"oci":      {"dest", "tar"},
	"docker":   {"dest", "tar"},
}

// ParseOutput reads docker's --output language: one CSV record of key=value fields, such as
// type=oci,dest=image.tar or "type=image,push=true,""name=a/b:1,a/b:2""". A key that is unknown, or no use for the type, is an error.
func ParseOutput(s string) (Output, error) {
	values, err := outputFields(s)
	if err != nil {
		return Output{}, fmt.Errorf("output %q: %w", s, err)
	}
	o, err := outputOf(values)
	if err != nil {
		return Output{}, fmt.Errorf("output %q: %w", s, err)
	}
	return o, nil
}

func outputFields(s string) (map[string]string, error) {
	reader := csv.NewReader(strings.NewReader(s))
	fields, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty; write type=registry, type=oci,dest=…, type=docker,dest=… or type=docker")
	}
	if err != nil {
		return nil, fmt.Errorf("reading fields: %w", err)
	}
	if _, err := reader.Read(); !errors.Is(err, io.EOF) {
		return nil, errors.New("it has more than one line")
	}
	values := map[string]string{}
	for _, field := range fields {
		key, value, ok := strings.Cut(field, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		if !ok {
			return nil, fmt.Errorf("%q is not of the form key=value", field)
		}
		if _, twice := values[key]; twice {
			return nil, fmt.Errorf("%s is given twice", key)
		}
		values[key] = value
	}
	return values, nil
}

func outputOf(values map[string]string) (Output, error) {
	kind := values["type"]
	known, ok := outputKeys[kind]
	if !ok {
		return Output{}, fmt.Errorf("type %q is not one of registry, image, oci, docker", kind)
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if key != "type" && key != "name" && !slices.Contains(known, key) {
			return Output{}, fmt.Errorf("unknown key %q; type=%s knows name, %s", key, kind, strings.Join(known, ", "))
		}
	}
	var names []string
	for _, name := range strings.Split(values["name"], ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	if _, said := values["name"]; said && len(names) == 0 {
		return Output{}, errors.New("name is empty; give it a reference, or leave it out for the tags given elsewhere")
	}
	if kind == "oci" || kind == "docker" {
		return fileOutput(OutputKind(kind), values, names)
	}
	return registryOutput(kind == "registry", values, names)
}

func registryOutput(push bool, values map[string]string, names []string) (Output, error) {
	o := Output{Kind: ToRegistry, Names: names}
	var canonical bool
	err := errors.Join(
		boolField(values, "push", push, &o.Push),
		boolField(values, "push-by-digest", false, &o.PushByDigest),
		boolField(values, "registry.insecure", false, &o.Insecure),
		// Every image is there by digest anyway: docker's word is understood, and changes nothing.
		boolField(values, "name-canonical", false, &canonical),
	)
	_, said := values["push"]
	o.NoPush = said && !o.Push
	return o, err
}

func fileOutput(kind OutputKind, values map[string]string, names []string) (Output, error) {
	o := Output{Kind: kind, Dest: values["dest"], Names: names}
	if _, isFile := values["dest"]; kind == ToArchive && !isFile {
		if _, isTar := values["tar"]; isTar {
			return Output{}, errors.New("tar is about a file: write dest=FILE too, or leave it out to load into docker's daemon")
		}
		o.Kind = ToDaemon
		return o, nil
	}
	if o.Dest == "" {
		return Output{}, fmt.Errorf("dest is missing; write type=%s,dest=FILE, or dest=- for standard output", kind)
	}
	isTar := kind == ToArchive || o.Dest == stdoutPath || strings.HasSuffix(o.Dest, ".tar")
	if err := boolField(values, "tar", isTar, &o.Tar); err != nil {
		return Output{}, err
	}
	if !o.Tar && (kind == ToArchive || o.Dest == stdoutPath) {
		return Output{}, fmt.Errorf("tar=false: type=%s,dest=%s is always a tar", kind, o.Dest)
	}
	return o, nil
}

func boolField(values map[string]string, key string, missing bool, into *bool) error {
	*into = missing
	text, ok := values[key]
	if !ok {
		return nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return fmt.Errorf("%s=%s is neither true nor false", key, text)
	}
	*into = value
	return nil
}

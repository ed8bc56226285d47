//go:build e2e

package attack

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// record is what a cache says of a layer, in the words of its file.
type record struct {
	DiffID string `json:"diffID"`
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

// releaser publishes an application again and again from one directory, with a cache that others can write to.
type releaser struct {
	*user
	registry
	dir, cache string
	inputs     map[string]string
}

func newReleaser(t *testing.T, mode string) *releaser {
	t.Helper()
	r := &releaser{user: newUser(t), registry: startRegistry(t), dir: t.TempDir(), cache: t.TempDir()}
	r.inputs = map[string]string{"push": "true", "cache-from": "type=local,src=" + r.cache, "cache-to": "type=local,dest=" + r.cache + mode}
	return r
}

func (r *releaser) publish(t *testing.T, tag string) ran {
	t.Helper()
	r.inputs["tags"] = r.address + "/acme/app:" + tag
	return r.step(t, r.dir, r.inputs)
}

// writes changes the application.
func (r *releaser) writes(t *testing.T, text string) {
	t.Helper()
	write(t, r.dir, map[string]string{"nixery.yaml": outputsSpec, "set.nix": set(text)})
}

// layer is the record of the layer of a published image that has a text, and its bytes.
func (r *releaser) layer(t *testing.T, tag, text string) (record, []byte) {
	t.Helper()
	all, err := r.image(t, "acme/app:"+tag).Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range all {
		content, err := layer.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		blob, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		if unpacked, _ := unpack(blob); strings.Contains(string(unpacked), text) {
			return recordOf(blob, unpacked), blob
		}
	}
	t.Fatalf("no layer of %s has %q", tag, text)
	return record{}, nil
}

func recordOf(blob, unpacked []byte) record {
	return record{fmt.Sprintf("sha256:%x", sha256.Sum256(unpacked)), fmt.Sprintf("sha256:%x", sha256.Sum256(blob)), int64(len(blob))}
}

// forge changes one record in all ledgers of the cache, as who can write there may: digests are made right again, a mark is not.
func (r *releaser) forge(t *testing.T, was, is record, mark func(string) string) {
	t.Helper()
	changed := 0
	r.files(t, func(file string, data []byte) {
		line, body, ok := bytes.Cut(data, []byte("\n"))
		if !ok || !bytes.HasPrefix(line, []byte("nixery-action ledger ")) {
			return
		}
		unpacked, _ := unpack(body)
		decoder := json.NewDecoder(bytes.NewReader(unpacked))
		decoder.UseNumber()
		var ledger any
		if err := decoder.Decode(&ledger); err != nil {
			t.Fatal(err)
		}
		n := replace(ledger, was, is)
		if n == 0 {
			return
		}
		changed += n
		var forged bytes.Buffer
		zip := gzip.NewWriter(&forged)
		if err := errors.Join(json.NewEncoder(zip).Encode(ledger), zip.Close()); err != nil {
			t.Fatal(err)
		}
		digest := func(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }
		first := mark(strings.ReplaceAll(string(line), digest(body), digest(forged.Bytes())))
		if err := os.WriteFile(file, append([]byte(first+"\n"), forged.Bytes()...), 0o644); err != nil {
			t.Fatal(err)
		}
	})
	if changed == 0 {
		t.Fatal("there is no such record to be forged")
	}
}

// replace puts a record into the place of another.
func replace(value any, was, is record) (n int) {
	switch value := value.(type) {
	case map[string]any:
		if value["digest"] == was.Digest {
			value["digest"], value["diffID"], value["size"] = is.Digest, is.DiffID, is.Size
			return 1
		}
		for _, inner := range value {
			n += replace(inner, was, is)
		}
	case []any:
		for _, inner := range value {
			n += replace(inner, was, is)
		}
	}
	return n
}

func (r *releaser) files(t *testing.T, each func(file string, data []byte)) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(r.cache, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range names {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		each(file, data)
	}
}

// plant puts a blob beside another into the cache.
func (r *releaser) plant(t *testing.T, beside, is record, blob []byte) {
	t.Helper()
	planted := false
	r.files(t, func(file string, data []byte) {
		if fmt.Sprintf("sha256:%x", sha256.Sum256(data)) != beside.Digest {
			return
		}
		other := strings.ReplaceAll(file, strings.TrimPrefix(beside.Digest, "sha256:"), strings.TrimPrefix(is.Digest, "sha256:"))
		if err := os.WriteFile(other, blob, 0o644); err != nil {
			t.Fatal(err)
		}
		planted = other != file
	})
	if !planted {
		t.Fatal("the cache keeps no layers")
	}
}

// trojan is a layer with the same names and another content.
func trojan(t *testing.T, blob []byte, was, is string) (record, []byte) {
	t.Helper()
	unpacked, _ := unpack(blob)
	var packed, zipped bytes.Buffer
	in, out := tar.NewReader(bytes.NewReader(unpacked)), tar.NewWriter(&packed)
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.ReplaceAll(content, []byte(was), []byte(is))
		header.Size = int64(len(content))
		if err := out.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	zip := gzip.NewWriter(&zipped)
	if _, err := zip.Write(packed.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(out.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	whole := zipped.Bytes()
	content, _ := unpack(whole)
	return recordOf(whole, content), whole
}

// has reports whether a published image has a layer.
func (r *releaser) has(t *testing.T, tag string, layer record) bool {
	t.Helper()
	manifest, err := r.image(t, "acme/app:"+tag).Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range manifest.Layers {
		if found.Digest.String() == layer.Digest {
			return true
		}
	}
	return false
}

// attack is a cache into which another party has written. forge writes there, and returns the foreign layer; good is
// the digest of what is honestly built of the sources.
type attack struct {
	mode  string
	forge func(t *testing.T, r *releaser, mark func(string) string) (foreign record, good string)
}

var attacks = map[string]attack{
	// The registry still has the layer of a version with a hole. One record of the new one is changed, and points there.
	"an old layer of the registry": {"", func(t *testing.T, r *releaser, mark func(string) string) (record, string) {
		vulnerable, patched := "vulnerable-"+salt(), "patched-"+salt()
		r.writes(t, vulnerable)
		r.publish(t, "v1").wants(t, 0)
		r.writes(t, patched)
		r.publish(t, "v2").wants(t, 0)
		foreign, _ := r.layer(t, "v1", vulnerable)
		honest, _ := r.layer(t, "v2", patched)
		r.forge(t, honest, foreign, mark)
		return foreign, r.digest(t, "acme/app:v2")
	}},
	// The cache has the layers, too, and the registry is a new one: whoever can write to the cache brings the layer along.
	"a layer of the cache": {",mode=max", func(t *testing.T, r *releaser, mark func(string) string) (record, string) {
		honest, evil := "honest-"+salt(), "trojan-"+salt()
		r.writes(t, honest)
		r.publish(t, "v2").wants(t, 0)
		layer, blob := r.layer(t, "v2", honest)
		foreign, forged := trojan(t, blob, honest, evil)
		r.plant(t, layer, foreign, forged)
		r.forge(t, layer, foreign, mark)
		good := r.digest(t, "acme/app:v2")
		r.registry = startRegistry(t)
		return foreign, good
	}},
}

func asItWas(line string) string { return line }

// unmarked is the first line of a ledger up to its digest.
func unmarked(line string) string {
	words := strings.Fields(line)
	i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "sha256:") })
	return strings.Join(words[:i+1], " ")
}

// A cache that others can write to puts no foreign layer into a release that has a key.
func TestForgedCacheWithKey(t *testing.T) {
	for name, attack := range attacks {
		for how, mark := range map[string]func(string) string{"with its old mark": asItWas, "without a mark": unmarked} {
			t.Run(name+" "+how, func(t *testing.T) {
				r := newReleaser(t, attack.mode)
				r.inputs["cache-key"] = "key-" + salt()
				foreign, good := attack.forge(t, r, mark)
				run := r.publish(t, "v3").wants(t, 0)
				if r.has(t, "v3", foreign) {
					t.Errorf("the foreign layer was published:\n%s", run.said)
				}
				if got := r.digest(t, "acme/app:v3"); got != good {
					t.Errorf("published is %s, want %s", got, good)
				}
				unsaid(t, map[string]string{"the key": r.inputs["cache-key"]}, "the log", run.said)
				nowhere(t, map[string]string{"the key": r.inputs["cache-key"]}, r.cache, r.registry.dir)
			})
		}
	}
}

// What was saved without a key is not believed by who has one: an attacker need not know of keys.
func TestForgedCacheOfAnotherKey(t *testing.T) {
	for name, attack := range attacks {
		for how, key := range map[string]string{"no key": "", "another key": "other-" + salt()} {
			t.Run(name+" "+how, func(t *testing.T) {
				r := newReleaser(t, attack.mode)
				r.inputs["cache-key"] = key
				foreign, good := attack.forge(t, r, asItWas)
				r.inputs["cache-key"] = "key-" + salt()
				run := r.publish(t, "v3").wants(t, 0)
				if r.has(t, "v3", foreign) || r.digest(t, "acme/app:v3") != good {
					t.Errorf("the foreign layer was published:\n%s", run.said)
				}
			})
		}
	}
}

// Without a key, verify refuses to publish.
func TestForgedCacheIsVerified(t *testing.T) {
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			r := newReleaser(t, attack.mode)
			attack.forge(t, r, asItWas)
			r.inputs["verify"] = "true"
			run := r.publish(t, "v3").fails(t)
			if _, err := remote.Head(parse(t, r.address+"/acme/app:v3")); err == nil {
				t.Errorf("an image was published:\n%s", run.said)
			}
		})
	}
}

// The forgeries of these tests are good ones: with neither key nor verify they get through, as docs/cache.md says.
func TestForgedCacheIsBelievedWithoutKey(t *testing.T) {
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			r := newReleaser(t, attack.mode)
			foreign, _ := attack.forge(t, r, asItWas)
			r.publish(t, "v3").wants(t, 0)
			if !r.has(t, "v3", foreign) {
				t.Error("the forged record was not believed: then the tests beside this one prove nothing")
			}
		})
	}
}

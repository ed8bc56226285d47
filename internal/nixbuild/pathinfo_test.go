package nixbuild

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/bounded/boundedtest"
	"github.com/org/nixery-action/internal/nix"
)

const (
	hexHash = "117f4e1a9f11ac473f5dc6851a4f6be6ee22040de071eb14716fa750650bc92c"
	sriHash = "sha256-EX9OGp8RrEc/XcaFGk9r5u4iBA3gcesUcW+nUGULySw="
	// as nix hash to-base32 prints it
	nixHash = "sha256:0b691djm19vgf4afnwg01l225vp6dd7im1f6blzlgb0ikwd4wzqi"
)

func TestParseNarHash(t *testing.T) {
	for _, form := range []string{"sha256:" + hexHash, sriHash, nixHash} {
		h, err := nix.ParseNarHash(form)
		if err != nil || h.String() != "sha256:"+hexHash {
			t.Errorf("ParseNarHash(%q) = %v, %v", form, h, err)
		}
	}
	for _, bad := range []string{
		"", "sha256:", hexHash, "sha512:" + hexHash, "md5:" + hexHash[:32],
		"sha256:" + hexHash[1:], "sha256:" + strings.Repeat("g", 64),
		"sha256-" + hexHash, sriHash[:len(sriHash)-4], "sha256:" + strings.Repeat("z", 52), "sha256:" + strings.Repeat("e", 52),
	} {
		if h, err := nix.ParseNarHash(bad); err == nil {
			t.Errorf("ParseNarHash(%q) = %v", bad, h)
		}
	}
}

func TestReadClosureUnzips(t *testing.T) {
	const text = `[{"path":"/nix/store/0k83lbh115xljk3m05mn548pyjjgavdd-app","narSize":7,"references":[]}]`
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	zipped := b.Bytes()
	if c, err := nix.ReadClosure(t.Context(), bytes.NewReader(zipped)); err != nil || len(c.Paths) != 1 {
		t.Errorf("%v, %v", c, err)
	}
	for _, cut := range []int{5, len(zipped) - 3} {
		if c, err := nix.ReadClosure(t.Context(), bytes.NewReader(zipped[:cut])); err == nil {
			t.Errorf("cut at %d: read as %v", cut, c)
		}
	}
}

func TestReadClosureShapes(t *testing.T) {
	app, lib := fakePath("app"), fakePath("lib")
	appBase, libBase := strings.TrimPrefix(string(app), nix.StoreDir+"/"), strings.TrimPrefix(string(lib), nix.StoreDir+"/")
	for name, text := range map[string]string{
		"array": fmt.Sprintf(`[{"path":%q,"narHash":%q,"narSize":7,"references":[%q,%q]},{"path":%q,"narHash":%q,"narSize":5,"references":[]}]`,
			app, sriHash, app, lib, lib, nixHash),
		"object": fmt.Sprintf(`{%q:{"narHash":%q,"narSize":7,"references":[%q],"ca":null},%q:{"narHash":%q,"narSize":5,"references":[]}}`,
			app, sriHash, lib, lib, sriHash),
		"format 2": fmt.Sprintf(`{"version":2,"storeDir":"/nix/store","info":{%q:{"version":2,"narHash":%q,"narSize":7,"references":[%q]},%q:{"narHash":%q,"narSize":5,"references":[]}}}`,
			appBase, sriHash, libBase, libBase, sriHash),
		"format 2 of Nix 2.33": fmt.Sprintf(`{"version":2,"info":{%q:{"narHash":{"algorithm":"sha256","format":"base64","hash":%q},"narSize":7,"references":[%q]},`+
			`%q:{"narHash":{"algorithm":"sha256","format":"base16","hash":%q},"narSize":5,"references":[]}}}`,
			appBase, strings.TrimPrefix(sriHash, "sha256-"), libBase, libBase, hexHash),
	} {
		c, err := nix.ReadClosure(t.Context(), strings.NewReader(text+"\n"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(c.Roots) != 1 || c.Roots[0] != app || len(c.Paths) != 2 || c.Paths[0].NarSize != 7 {
			t.Errorf("%s: %v", name, c)
		}
		if c.Paths[0].NarHash.Hex != hexHash || c.Paths[1].NarHash.Hex != hexHash {
			t.Errorf("%s: hashes %v and %v", name, c.Paths[0].NarHash, c.Paths[1].NarHash)
		}
	}
}

func TestReadClosureErrors(t *testing.T) {
	app, lib := fakePath("app"), fakePath("lib")
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":          {``, "nix path-info --json --recursive"},
		"no JSON":          {`/nix/store/…`, "nix path-info --json --recursive"},
		"not a list":       {`"x"`, "nix path-info --json --recursive"},
		"empty list":       {`[]`, "no paths"},
		"empty object":     {`{}`, "no paths"},
		"null":             {`[null]`, "null"},
		"null info":        {fmt.Sprintf(`{%q:null}`, app), "not in the store"},
		"invalid":          {fmt.Sprintf(`[{"path":%q,"valid":false}]`, app), "not in the store"},
		"not a path":       {`[{"path":"/etc/passwd"}]`, `"/etc/passwd" is not a store path`},
		"climbing":         {`{"info":{"..":{}}}`, "not a store path"},
		"bad reference":    {fmt.Sprintf(`[{"path":%q,"references":["/etc"]}]`, app), `"/etc" is not a store path`},
		"bad hash":         {fmt.Sprintf(`[{"path":%q,"narHash":"md5:x"}]`, app), `"md5:x" is not a SHA-256`},
		"negative size":    {fmt.Sprintf(`[{"path":%q,"narSize":-1}]`, app), "narSize is -1"},
		"twice":            {fmt.Sprintf(`[{"path":%q},{"path":%q}]`, app, app), "in it twice"},
		"missing":          {fmt.Sprintf(`[{"path":%q,"references":[%q]}]`, app, lib), "lacks " + string(lib)},
		"circle":           {fmt.Sprintf(`[{"path":%q,"references":[%q]},{"path":%q,"references":[%q]}]`, app, lib, lib, app), "in a circle"},
		"another store":    {`{"version":2,"storeDir":"/gnu/store","info":{}}`, "/gnu/store"},
		"something behind": {fmt.Sprintf(`[{"path":%q}] []`, app), "more than one JSON value"},
	} {
		_, err := nix.ReadClosure(t.Context(), strings.NewReader(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func FuzzReadClosure(f *testing.F) {
	f.Add(fmt.Sprintf(`[{"path":%q,"narHash":%q,"narSize":7,"references":[]}]`, fakePath("app"), sriHash))
	f.Add(fmt.Sprintf(`{"version":2,"info":{%q:{"narSize":7}}}`, fakePath("app")))
	f.Fuzz(func(t *testing.T, text string) {
		var c nix.Closure
		var err error
		most := uint64(1<<20 + 64*len(text))
		if strings.HasPrefix(text, "\x1f\x8b") {
			most = mostMemory
		}
		boundedtest.Within(t, most, func() { c, err = nix.ReadClosure(t.Context(), strings.NewReader(text)) })
		if err != nil {
			return
		}
		if _, err := nix.NewClosure(c.Roots, c.Paths); err != nil {
			t.Errorf("%v is no closure: %v", c, err)
		}
	})
}

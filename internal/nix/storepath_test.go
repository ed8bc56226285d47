package nix

import (
	"strings"
	"testing"
)

func TestParseStorePath(t *testing.T) {
	p, err := ParseStorePath("/nix/store/0k83lbh115xljk3m05mn548pyjjgavdd-tiny-app-2.0")
	if err != nil {
		t.Fatal(err)
	}
	if p.Hash() != "0k83lbh115xljk3m05mn548pyjjgavdd" || p.Name() != "tiny-app-2.0" {
		t.Errorf("hash %q, name %q", p.Hash(), p.Name())
	}
	for _, bad := range []string{
		"",
		"0k83lbh115xljk3m05mn548pyjjgavdd-x",
		"/nix/store/0k83lbh115xljk3m05mn548pyjjgavdd",
		"/nix/store/0k83lbh115xljk3m05mn548pyjjgavdd-",
		"/nix/store/ek83lbh115xljk3m05mn548pyjjgavdd-x", // e is no digit
		"/nix/store/0k83lbh115xljk3m05mn548pyjjgavdd-x/bin",
		"/nix/store/0k83lbh115xljk3m05mn548pyjjgavdd-..\n",
		"/nix/store/../etc/0k83lbh115xljk3m05mn548pyjjgavdd-x",
	} {
		if _, err := ParseStorePath(bad); err == nil || !strings.Contains(err.Error(), "not a store path") {
			t.Errorf("ParseStorePath(%q): %v", bad, err)
		}
	}
}

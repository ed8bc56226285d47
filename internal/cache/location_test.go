package cache

import (
	"strings"
	"testing"
)

func TestParseLocations(t *testing.T) {
	for text, want := range map[string]Location{
		"type=gha":                             {Type: GitHub, Mode: Min},
		"type=gha,scope=box,mode=max":          {Type: GitHub, Scope: "box", Mode: Max},
		"mode=min,type=gha,ignore-error=true":  {Type: GitHub, Mode: Min},
		"type=local,dest=/tmp/cache,mode=max":  {Type: Local, Path: "/tmp/cache", Mode: Max},
		`"type=local","dest=a,b"`:              {Type: Local, Path: "a,b", Mode: Min},
		"type=registry,ref=ghcr.io/acme/box:c": {Type: InOCI, Ref: "ghcr.io/acme/box:c", Mode: Min},
		"ghcr.io/acme/box":                     {Type: InOCI, Ref: "ghcr.io/acme/box", Mode: Min},
	} {
		if got, err := ParseTo(text); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
	if got, err := ParseFrom("type=local,src=cache"); err != nil || got.Path != "cache" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestParseLocationErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                             `cache-to "": it is empty`,
		"type=gha\ntype=gha":           "more than one line",
		"type=ghq":                     "did you mean gha?",
		"type=s3,bucket=x":             "known are gha, local, registry",
		"scope=x":                      `unknown type ""`,
		"type=gha,scpoe=x":             "did you mean scope?",
		"type=gha,url=x":               "known are scope, mode",
		"type=gha,mode=all":            `mode "all" is neither min nor max`,
		"type=gha,x":                   "not of the form key=value",
		"type=gha,scope=a,scope=b":     "scope is given twice",
		"type=local":                   "write type=local,dest=DIR",
		"type=local,src=x":             "src is not for cache-to; write dest=DIR",
		"type=registry":                "ref is missing",
		"type=registry,ref=UPPER/CASE": "not a repository",
		"type=registry,ref=a/b@sha256:" + hashOf("x").Hex:  "not a repository",
		"type=registry,ref=a/b:" + strings.Repeat("t", 60): "longer than",
		"type=\"gha": "reading fields",
	} {
		if got, err := ParseTo(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %+v, %v; want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"type=gha,mode=max": "mode is for cache-to",
		"type=local,dest=x": "dest is not for cache-from; write src=DIR",
		"type=local,srcs=x": "did you mean src?",
	} {
		if got, err := ParseFrom(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %+v, %v; want %s", text, got, err, want)
		}
	}
}

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

func TestPlaces(t *testing.T) {
	parse := func(f func(string) (Location, error), texts ...string) (all []Location) {
		for _, text := range texts {
			l, err := f(text)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
		}
		return all
	}
	from := parse(ParseFrom, "type=gha", "type=gha,scope=a", "type=local,src=x", "type=registry,ref=r.example/a:b")
	to := parse(ParseTo, "type=gha,scope=b,mode=max", "type=local,dest=x", "type=registry,ref=r.example/a")
	read, write, err := Places(from, to, Options{Getenv: getenv(environmentV2)})
	if err != nil {
		t.Fatal(err)
	}
	if read[0].Store != read[1].Store || read[0].Store != write[0].Store || read[2].Store != write[1].Store {
		t.Error("places with one meaning have several stores")
	}
	if read[3].Store == write[2].Store {
		t.Error("other tags are the same store")
	}
	if write[0].Scope != "b" || write[0].Mode != Max || read[1].Scope != "a" {
		t.Errorf("places are %+v, %+v", read, write)
	}
	for i, want := range []string{"the GitHub Actions cache (v2)", "the GitHub Actions cache (v2)", "directory x", "registry r.example/a:b"} {
		if got := read[i].Store.String(); got != want {
			t.Errorf("place %d is %s", i, got)
		}
	}
	if got := write[2].Store.String(); got != "registry r.example/a" {
		t.Errorf("it is %s", got)
	}
	if read, _, err := Places([]Location{{Type: GitHub}}, nil, Options{}); err != nil || !isAbsent(read[0].Store) {
		t.Errorf("without an environment: %v, %v", read, err)
	}
}

func isAbsent(s Store) bool {
	_, ok := s.(absent)
	return ok
}

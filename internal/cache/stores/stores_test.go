package stores

import (
	"testing"

	"github.com/org/nixery-action/internal/cache"
)

var environment = map[string]string{
	"ACTIONS_CACHE_SERVICE_V2": "True", "ACTIONS_RESULTS_URL": "https://results.example/", "ACTIONS_RUNTIME_TOKEN": "token",
}

func TestPlaces(t *testing.T) {
	parse := func(f func(string) (cache.Location, error), texts ...string) (all []cache.Location) {
		for _, text := range texts {
			l, err := f(text)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
		}
		return all
	}
	from := parse(cache.ParseFrom, "type=gha", "type=gha,scope=a", "type=local,src=x", "type=registry,ref=r.example/a:b")
	to := parse(cache.ParseTo, "type=gha,scope=b,mode=max", "type=local,dest=x", "type=registry,ref=r.example/a")
	read, write, err := Places(from, to, Options{Getenv: func(name string) string { return environment[name] }})
	if err != nil {
		t.Fatal(err)
	}
	if read[0].Store != read[1].Store || read[0].Store != write[0].Store || read[2].Store != write[1].Store {
		t.Error("places with one meaning have several stores")
	}
	if read[3].Store == write[2].Store {
		t.Error("other tags are the same store")
	}
	if write[0].Scope != "b" || write[0].Mode != cache.Max || read[1].Scope != "a" {
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
	if read, _, err := Places([]cache.Location{{Type: cache.GitHub}}, nil, Options{}); err != nil || read[0].Store.String() != "the GitHub Actions cache" {
		t.Errorf("without an environment: %v, %v", read, err)
	}
}

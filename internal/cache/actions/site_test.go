package actions

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/cache/cachetest"
)

var (
	environmentV2 = map[string]string{"ACTIONS_CACHE_SERVICE_V2": "True", "ACTIONS_RESULTS_URL": "https://results.example/",
		"ACTIONS_RUNTIME_TOKEN": cachetest.TestToken, "ACTIONS_CACHE_URL": "http://unused.example/"}
	environmentV1 = map[string]string{"ACTIONS_CACHE_URL": "http://cache.example/x/", "ACTIONS_RUNTIME_TOKEN": cachetest.TestToken}
)

func getenv(environment map[string]string) func(string) string {
	return func(name string) string { return environment[name] }
}

func actionsSite(t *testing.T, environment map[string]string) cachetest.Site {
	fake, front := newFake(t)
	return cachetest.Site{Open: openActions(t, front, environment), Tamper: fake.tamper}
}

// openActions reaches a fake by HTTPS, too: without TLS, as the network is a pipe.
func openActions(t *testing.T, handler http.Handler, environment map[string]string) func() cache.Store {
	transport := untls{cachetest.Network(t, handler)}
	return func() cache.Store { return FromEnvironment(getenv(environment), Options{transport, "test"}) }
}

type untls struct{ *http.Transport }

func (u untls) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.URL.Scheme = "http"
	return u.Transport.RoundTrip(req)
}

// TestContract is what every store must do. act lets several jobs save one name at once.
func TestContract(t *testing.T) {
	for version, environment := range map[string]map[string]string{"v2": environmentV2, "v1": environmentV1} {
		for name, test := range cachetest.Contract(cachetest.Can{Stream: true, Tamper: true}) {
			t.Run(version+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					site := actionsSite(t, environment)
					site.Reserves = version == "v2"
					test(t, site)
				})
			})
		}
	}
}

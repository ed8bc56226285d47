package publish

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/org/nixery-action/internal/retry"
)

// dialing returns a transport that reaches server whatever host is asked for.
func dialing(server *httptest.Server) *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}}
}

func tlsRegistry(t *testing.T, faults ...*fault) *fakeRegistry {
	t.Helper()
	f := newFake(faults...)
	f.Server = httptest.NewUnstartedServer(f)
	f.Config.ErrorLog = log.New(io.Discard, "", 0)
	f.StartTLS()
	t.Cleanup(f.Close)
	return f
}

func artifactFor(t *testing.T, ref string) Artifact {
	t.Helper()
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	return Artifact{Name: "a", Image: imageOf(t, "amd64", newLayer(t, 1, 1000)), Tags: []name.Tag{tag}}
}

type fixedKeychain struct{ user, password string }

func (k fixedKeychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig{Username: k.user, Password: k.password}), nil
}

type brokenKeychain struct{}

func (brokenKeychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return nil, errors.New("docker-credential-gone: executable file not found")
}

func TestRegistryErrors(t *testing.T) {
	plain, secure := newRegistry(t), tlsRegistry(t)
	answering := func(code int, header ...string) *fakeRegistry {
		return newRegistry(t, &fault{method: "POST", path: "/blobs/uploads/", nth: 1, forever: true, answer: status(code, header...)})
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	unauthorized, forbidden, missing, throttled := answering(401), answering(403), answering(404), answering(429)
	for _, test := range []struct {
		name    string
		host    string
		options ClientOptions
		kind    Kind
		says    []string
	}{
		{"401 without credentials", unauthorized.host(), ClientOptions{}, Unauthorized,
			[]string{"/acme/box: not logged in to 127.0.0.1", "401 Unauthorized", "docker's config", "docker login 127.0.0.1"}},
		{"401 with credentials", unauthorized.host(), ClientOptions{Keychain: fixedKeychain{"u", "hunter2"}}, Unauthorized,
			[]string{"does not accept the credentials"}},
		{"403", forbidden.host(), ClientOptions{Keychain: fixedKeychain{"u", "hunter2"}}, Forbidden,
			[]string{"permission denied", "may not push there"}},
		{"403 of ghcr.io", "ghcr.io", ClientOptions{Insecure: []string{"ghcr.io"}, Transport: dialing(forbidden.Server)}, Forbidden,
			[]string{"`permissions: packages: write`", "github-token"}},
		{"404", missing.host(), ClientOptions{}, NotFound, []string{"404 Not Found", "repository's name"}},
		{"429", throttled.host(), ClientOptions{}, Throttled, []string{"too many requests"}},
		{"nobody listens", closed.Listener.Addr().String(), ClientOptions{}, Unreachable,
			[]string{"cannot be reached", closed.Listener.Addr().String(), "refused"}},
		{"unknown authority", secure.host(), ClientOptions{}, Untrusted,
			[]string{"TLS", "unknown authority", "--insecure-registry " + secure.host()}},
		{"wrong name", "registry.example:5000", ClientOptions{Transport: trusting(secure)}, Untrusted,
			[]string{"TLS", "registry.example"}},
		{"plain HTTP", "registry.example:5000", ClientOptions{Transport: dialing(plain.Server)}, PlainHTTP,
			[]string{"registry.example:5000 speaks plain HTTP", "--insecure-registry registry.example:5000"}},
		{"plain HTTP in a private network", "10.1.2.3:5000", ClientOptions{Transport: dialing(plain.Server)}, PlainHTTP,
			[]string{"10.1.2.3:5000 speaks plain HTTP"}},
		{"private network, nobody listens", "10.1.2.3:5000", ClientOptions{Transport: dialing(closed)}, Unreachable,
			[]string{"cannot be reached"}},
		{"credential helper", plain.host(), ClientOptions{Keychain: brokenKeychain{}}, Other,
			[]string{"reading credentials for 127.0.0.1", "docker-credential-gone"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.options.Retry = retry.Policy{Attempts: 2}
			r, _ := hasty(RegistryOptions{}, test.options)
			artifacts := []Artifact{artifactFor(t, test.host+"/acme/box:x")}
			_, pushed := r.Publish(t.Context(), artifacts)
			for _, err := range []error{pushed, r.Check(t.Context(), artifacts)} {
				var fault *RegistryError
				if !errors.As(err, &fault) {
					t.Fatalf("error is %v", err)
				}
				if fault.Kind != test.kind || fault.Registry != test.host {
					t.Errorf("kind %d at %s, want %d at %s: %v", fault.Kind, fault.Registry, test.kind, test.host, err)
				}
				for _, part := range test.says {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%q does not say %q", err, part)
					}
				}
				if strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%q tells the password", err)
				}
			}
		})
	}
	if got := plain.matching("10.1.2.3"); len(got) != 0 || len(plain.matching("POST")) != 0 {
		t.Errorf("requests went out in plain text: %q", plain.matching(""))
	}
}

// trusting trusts the server's certificate, and reaches it whatever host is asked for.
func trusting(f *fakeRegistry) *http.Transport {
	transport := dialing(f.Server)
	transport.TLSClientConfig = f.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	transport.TLSClientConfig.ServerName = ""
	return transport
}

func TestUnknownHost(t *testing.T) {
	nowhere := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "registry.example", IsNotFound: true}}
	}}
	r, waits := hasty(RegistryOptions{}, ClientOptions{Transport: nowhere})
	_, err := r.Publish(t.Context(), []Artifact{artifactFor(t, "registry.example/a:x")})
	var fault *RegistryError
	if !errors.As(err, &fault) || fault.Kind != UnknownHost || len(waits()) != 0 {
		t.Errorf("error is %v, after waits %v", err, waits())
	}
}

func TestInsecureRegistries(t *testing.T) {
	plain, secure := newRegistry(t), tlsRegistry(t)
	for _, test := range []struct {
		server *fakeRegistry
		host   string
		listed string
	}{
		{plain, "registry.example:5000", "registry.example:5000"},
		{plain, "registry.example:5000", "registry.example"},
		{plain, "10.1.2.3:5000", "10.1.2.3:5000"},
		{plain, "127.0.0.9:5000", "none"},
		{plain, "localhost:5000", "none"},
		{plain, "[::1]:5000", "none"},
		{secure, "registry.example:5000", "registry.example:5000"},
		{secure, "127.0.0.1:5000", "127.0.0.1:5000"},
	} {
		r, _ := hasty(RegistryOptions{}, ClientOptions{Transport: dialing(test.server.Server), Insecure: []string{test.listed}})
		if _, err := r.Publish(t.Context(), []Artifact{artifactFor(t, test.host+"/a:x")}); err != nil {
			t.Errorf("%s with %s listed: %v", test.host, test.listed, err)
		}
	}
}

func TestNoRedirectToPlainHTTP(t *testing.T) {
	elsewhere := newRegistry(t)
	location, err := url.Parse(elsewhere.URL)
	if err != nil {
		t.Fatal(err)
	}
	target := "http://registry.example:" + location.Port() + "/v2/acme/box/blobs/uploads/1?token=hunter2"
	secure := tlsRegistry(t, &fault{method: "POST", nth: 1, forever: true, answer: status(http.StatusTemporaryRedirect, "Location", target)})
	transport := trusting(secure)
	transport.TLSClientConfig.ServerName = "example.com"
	r, _ := hasty(RegistryOptions{}, ClientOptions{Transport: transport, Keychain: fixedKeychain{"u", "hunter2"}})
	_, err = r.Publish(t.Context(), []Artifact{artifactFor(t, "registry.example/acme/box:x")})
	var fault *RegistryError
	if !errors.As(err, &fault) || fault.Kind != PlainHTTP || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error is %v", err)
	}
	if got := elsewhere.matching(""); len(got) != 0 {
		t.Errorf("the redirect was followed: %q", got)
	}
}

func TestCauseHoldsNoSecrets(t *testing.T) {
	inner := errors.New("EOF")
	for _, err := range []error{
		&url.Error{Op: "Put", URL: "https://u:hunter2@r.example/v2/?token=hunter2", Err: inner},
		errors.New("no token in bearer response:\n{\"refresh_token\":\"hunter2\"}"),
	} {
		if text := Cause(err); strings.Contains(text, "hunter2") {
			t.Errorf("%q tells a secret", text)
		}
	}
}

func TestCheck(t *testing.T) {
	reg := newRegistry(t, &fault{method: "POST", nth: 1, answer: status(503)})
	r, waits := hasty(RegistryOptions{})
	artifacts := []Artifact{{Name: "a", Tags: []name.Tag{reg.tag(t, "a:x"), reg.tag(t, "a:y"), reg.tag(t, "b:x")}}}
	if err := r.Check(t.Context(), artifacts); err != nil {
		t.Fatal(err)
	}
	if posts := reg.matching("POST "); len(posts) != 3 || len(waits()) != 1 {
		t.Errorf("%q after waits %v", posts, waits())
	}
	if drops := reg.matching("DELETE "); len(drops) != 2 {
		t.Errorf("uploads were dropped by %q", drops)
	}
}

func TestCheckOfARegistryThatIsDownIsQuick(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	r, waits := hasty(RegistryOptions{})
	if err := r.Check(t.Context(), []Artifact{artifactFor(t, closed.Listener.Addr().String()+"/a:x")}); err == nil || len(waits()) != 0 {
		t.Errorf("error is %v, after waits %v", err, waits())
	}
}

// What ghcr.io says tells what is missing: a line of the workflow, or a link that only the package's owner can make.
func TestGitHubHints(t *testing.T) {
	for message, want := range map[string]string{
		"installation not allowed to Write organization package":                "the job needs `permissions: packages: write`; if it has that, in the package's settings, under Manage Actions access",
		"installation not allowed to Create organization package":               "the job needs `permissions: packages: write`, and the organization must let workflows create packages",
		"permission_denied: write_package":                                      "the package is there, and is not linked to this repository: in the package's settings, under Manage Actions access, add this repository with the role write",
		"permission_denied: create_package":                                     "a job may create packages of its repository's owner only: check the name after ghcr.io/",
		"permission_denied: The token provided does not match expected scopes.": "or a personal access token the scope write:packages",
		"denied": "the job needs `permissions: packages: write`, and the package must give this repository write access",
	} {
		denied := newRegistry(t, &fault{method: "POST", path: "/blobs/uploads/", nth: 1, forever: true, answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":"`+message+`"}]}`)
		}})
		r, _ := hasty(RegistryOptions{}, ClientOptions{Insecure: []string{"ghcr.io"}, Transport: dialing(denied.Server)})
		err := r.Check(t.Context(), []Artifact{artifactFor(t, "ghcr.io/acme/box:x")})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), message) {
			t.Errorf("%q gives\n%v", message, err)
		}
	}
}

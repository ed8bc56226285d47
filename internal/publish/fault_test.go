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

	"github.com/org/nixery-action/internal/registry"
	"github.com/org/nixery-action/internal/registry/registrytest"
	"github.com/org/nixery-action/internal/retry"
)

// dialing returns a transport that reaches server whatever host is asked for.
func dialing(server *httptest.Server) *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}}
}

func tlsRegistry(t *testing.T, faults ...*registrytest.Fault) *registrytest.Registry {
	t.Helper()
	f := registrytest.NewFake(faults...)
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
	return Artifact{Name: "a", Image: registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 1, 1000)), Tags: []name.Tag{tag}}
}

type fixedKeychain struct{ user, password string }

func (k fixedKeychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig{Username: k.user, Password: k.password}), nil
}

type brokenKeychain struct{}

func (brokenKeychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return nil, errors.New("docker-credential-gone: executable file not found")
}

func TestErrors(t *testing.T) {
	plain, secure := registrytest.NewRegistry(t), tlsRegistry(t)
	answering := func(code int, header ...string) *registrytest.Registry {
		return registrytest.NewRegistry(t, &registrytest.Fault{Method: "POST", Path: "/blobs/uploads/", Nth: 1, Forever: true, Answer: registrytest.Status(code, header...)})
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	unauthorized, forbidden, missing, throttled := answering(401), answering(403), answering(404), answering(429)
	for _, test := range []struct {
		name    string
		host    string
		options registry.Options
		kind    registry.Kind
		says    []string
	}{
		{"401 without credentials", unauthorized.Host(), registry.Options{}, registry.Unauthorized,
			[]string{"/acme/box: not logged in to 127.0.0.1", "401 Unauthorized", "docker's config", "docker login 127.0.0.1"}},
		{"401 with credentials", unauthorized.Host(), registry.Options{Keychain: fixedKeychain{"u", "hunter2"}}, registry.Unauthorized,
			[]string{"does not accept the credentials"}},
		{"403", forbidden.Host(), registry.Options{Keychain: fixedKeychain{"u", "hunter2"}}, registry.Forbidden,
			[]string{"permission denied", "may not push there"}},
		{"403 of ghcr.io", "ghcr.io", registry.Options{Insecure: []string{"ghcr.io"}, Transport: dialing(forbidden.Server)}, registry.Forbidden,
			[]string{"`permissions: packages: write`", "github-token"}},
		{"404", missing.Host(), registry.Options{}, registry.NotFound, []string{"404 Not Found", "repository's name"}},
		{"429", throttled.Host(), registry.Options{}, registry.Throttled, []string{"too many requests"}},
		{"connection refused", closed.Listener.Addr().String(), registry.Options{}, registry.Unreachable,
			[]string{"cannot be reached", closed.Listener.Addr().String(), "refused"}},
		{"unknown authority", secure.Host(), registry.Options{}, registry.Untrusted,
			[]string{"TLS", "unknown authority", "--insecure-registry " + secure.Host()}},
		{"wrong name", "registry.example:5000", registry.Options{Transport: trusting(secure)}, registry.Untrusted,
			[]string{"TLS", "registry.example"}},
		{"plain HTTP", "registry.example:5000", registry.Options{Transport: dialing(plain.Server)}, registry.PlainHTTP,
			[]string{"registry.example:5000 speaks plain HTTP", "--insecure-registry registry.example:5000"}},
		{"plain HTTP in a private network", "10.1.2.3:5000", registry.Options{Transport: dialing(plain.Server)}, registry.PlainHTTP,
			[]string{"10.1.2.3:5000 speaks plain HTTP"}},
		{"private network, connection refused", "10.1.2.3:5000", registry.Options{Transport: dialing(closed)}, registry.Unreachable,
			[]string{"cannot be reached"}},
		{"credential helper", plain.Host(), registry.Options{Keychain: brokenKeychain{}}, registry.Other,
			[]string{"reading credentials for 127.0.0.1", "docker-credential-gone"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.options.Retry = retry.Policy{Attempts: 2}
			r, _ := hasty(RegistryOptions{}, test.options)
			artifacts := []Artifact{artifactFor(t, test.host+"/acme/box:x")}
			_, pushed := r.Publish(t.Context(), artifacts)
			for _, err := range []error{pushed, r.Check(t.Context(), artifacts)} {
				var fault *registry.Error
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
	if got := plain.Matching("10.1.2.3"); len(got) != 0 || len(plain.Matching("POST")) != 0 {
		t.Errorf("requests went out in plain text: %q", plain.Matching(""))
	}
}

// trusting trusts the server's certificate, and reaches it whatever host is asked for.
func trusting(f *registrytest.Registry) *http.Transport {
	transport := dialing(f.Server)
	transport.TLSClientConfig = f.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	transport.TLSClientConfig.ServerName = ""
	return transport
}

func TestUnknownHost(t *testing.T) {
	nowhere := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "registry.example", IsNotFound: true}}
	}}
	r, waits := hasty(RegistryOptions{}, registry.Options{Transport: nowhere})
	_, err := r.Publish(t.Context(), []Artifact{artifactFor(t, "registry.example/a:x")})
	var fault *registry.Error
	if !errors.As(err, &fault) || fault.Kind != registry.UnknownHost || len(waits()) != 0 {
		t.Errorf("error is %v, after waits %v", err, waits())
	}
}

func TestInsecureRegistries(t *testing.T) {
	plain, secure := registrytest.NewRegistry(t), tlsRegistry(t)
	for _, test := range []struct {
		server *registrytest.Registry
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
		r, _ := hasty(RegistryOptions{}, registry.Options{Transport: dialing(test.server.Server), Insecure: []string{test.listed}})
		if _, err := r.Publish(t.Context(), []Artifact{artifactFor(t, test.host+"/a:x")}); err != nil {
			t.Errorf("%s with %s listed: %v", test.host, test.listed, err)
		}
	}
}

func TestNoRedirectToPlainHTTP(t *testing.T) {
	elsewhere := registrytest.NewRegistry(t)
	location, err := url.Parse(elsewhere.URL)
	if err != nil {
		t.Fatal(err)
	}
	target := "http://registry.example:" + location.Port() + "/v2/acme/box/blobs/uploads/1?token=hunter2"
	secure := tlsRegistry(t, &registrytest.Fault{Method: "POST", Nth: 1, Forever: true, Answer: registrytest.Status(http.StatusTemporaryRedirect, "Location", target)})
	transport := trusting(secure)
	transport.TLSClientConfig.ServerName = "example.com"
	r, _ := hasty(RegistryOptions{}, registry.Options{Transport: transport, Keychain: fixedKeychain{"u", "hunter2"}})
	_, err = r.Publish(t.Context(), []Artifact{artifactFor(t, "registry.example/acme/box:x")})
	var fault *registry.Error
	if !errors.As(err, &fault) || fault.Kind != registry.PlainHTTP || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error is %v", err)
	}
	if got := elsewhere.Matching(""); len(got) != 0 {
		t.Errorf("the redirect was followed: %q", got)
	}
}

func TestCauseHoldsNoSecrets(t *testing.T) {
	inner := errors.New("EOF")
	for _, err := range []error{
		&url.Error{Op: "Put", URL: "https://u:hunter2@r.example/v2/?token=hunter2", Err: inner},
		errors.New("no token in bearer response:\n{\"refresh_token\":\"hunter2\"}"),
	} {
		if text := registry.Cause(err); strings.Contains(text, "hunter2") {
			t.Errorf("%q tells a secret", text)
		}
	}
}

func TestCheck(t *testing.T) {
	reg := registrytest.NewRegistry(t, &registrytest.Fault{Method: "POST", Nth: 1, Answer: registrytest.Status(503)})
	r, waits := hasty(RegistryOptions{})
	artifacts := []Artifact{{Name: "a", Tags: []name.Tag{reg.Tag(t, "a:x"), reg.Tag(t, "a:y"), reg.Tag(t, "b:x")}}}
	if err := r.Check(t.Context(), artifacts); err != nil {
		t.Fatal(err)
	}
	if posts := reg.Matching("POST "); len(posts) != 3 || len(waits()) != 1 {
		t.Errorf("%q after waits %v", posts, waits())
	}
	if drops := reg.Matching("DELETE "); len(drops) != 2 {
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
		denied := registrytest.NewRegistry(t, &registrytest.Fault{Method: "POST", Path: "/blobs/uploads/", Nth: 1, Forever: true, Answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":"`+message+`"}]}`)
		}})
		r, _ := hasty(RegistryOptions{}, registry.Options{Insecure: []string{"ghcr.io"}, Transport: dialing(denied.Server)})
		err := r.Check(t.Context(), []Artifact{artifactFor(t, "ghcr.io/acme/box:x")})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), message) {
			t.Errorf("%q gives\n%v", message, err)
		}
	}
}

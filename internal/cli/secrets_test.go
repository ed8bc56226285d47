package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/org/nixery-action/internal/redact"
)

func TestAccessTokens(t *testing.T) {
	config := "substituters = https://x=y\naccess-tokens = github.com=ghp_1 gitlab.example.com=PAT:glpat_2\n" +
		"extra-access-tokens = a.example/b=OAuth2:3 odd\naccess-tokens\n"
	got := slices.DeleteFunc(accessTokens(config), func(s string) bool { return s == "" })
	if want := []string{"ghp_1", "glpat_2", "3"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEnvironmentIsHidden(t *testing.T) {
	var b bytes.Buffer
	c := &console{stderr: redact.NewWriter(&b)}
	env := map[string]string{"GH_TOKEN": "gho_1", "AWS_SECRET_ACCESS_KEY": "aws/2", "NIX_CONFIG": "access-tokens = github.com=ghp_3", "HOME": "/home/me"}
	if err := c.hideEnvironment(func(name string) string { return env[name] }); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c.stderr, "gho_1 aws/2 ghp_3 /home/me\n"); err != nil {
		t.Fatal(err)
	}
	if b.String() != "*** *** *** /home/me\n" {
		t.Errorf("got %q", b.String())
	}
}

type loggedIn struct{ err error }

func (k loggedIn) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if r.RegistryStr() == "open.example" {
		return authn.Anonymous, k.err
	}
	return authn.FromConfig(authn.AuthConfig{Username: "me", Password: "pw", IdentityToken: "idt", RegistryToken: "rgt"}), k.err
}

func TestKeychainHidesWhatItGives(t *testing.T) {
	var hidden []string
	k := hidingKeychain{loggedIn{}, func(secret string) error { hidden = append(hidden, secret); return nil }}
	registry := func(host string) authn.Resource {
		r, err := name.NewRegistry(host)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if auth, err := k.Resolve(registry("open.example")); auth != authn.Anonymous || err != nil {
		t.Errorf("anonymous is %v, %v", auth, err)
	}
	auth, err := authn.Resolve(t.Context(), k, registry("closed.example"))
	if err != nil || len(hidden) > 0 {
		t.Fatalf("%v, hidden before it is used: %q", err, hidden)
	}
	config, err := authn.Authorization(context.Background(), auth)
	if err != nil || config.Password != "pw" || config.Username != "me" {
		t.Errorf("%+v, %v", config, err)
	}
	for _, secret := range []string{"pw", "idt", "rgt"} {
		if !slices.Contains(hidden, secret) {
			t.Errorf("%s is not hidden: %q", secret, hidden)
		}
	}
	if slices.Contains(hidden, "me") {
		t.Error("the user's name is hidden")
	}
	gone := errors.New("gone")
	if _, err := (hidingKeychain{loggedIn{gone}, k.hide}).Resolve(registry("closed.example")); !errors.Is(err, gone) {
		t.Errorf("error is %v", err)
	}
}

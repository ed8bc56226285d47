package cli

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/org/nixery-action/internal/actions"
	"github.com/org/nixery-action/internal/registry"
)

// secretVariables are those of the environment that are secret as a whole: what the runner, docker's
// actions and the clouds' keychains read or set.
var secretVariables = []string{
	"GITHUB_TOKEN", "GH_TOKEN", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
	"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_CLIENT_SECRET", cacheKeyVariable,
}

// hide keeps a secret out of the log, and asks the runner to do the same. It may be called from any
// goroutine, and again for the same secret.
func (c *console) hide(secret string) error {
	if _, known := c.hidden.LoadOrStore(secret, true); known || secret == "" {
		return nil
	}
	c.stderr.Add(secret)
	if !c.env.InActions {
		return nil
	}
	err := actions.Mask(os.Stderr, secret)
	if errors.Is(err, syscall.EPIPE) {
		return nil // a log that is read no longer shows nothing
	}
	return err
}

// hideEnvironment hides what the environment holds before anything is said.
func (c *console) hideEnvironment(getenv func(string) string) error {
	secrets := accessTokens(getenv("NIX_CONFIG"))
	for _, name := range secretVariables {
		secrets = append(secrets, getenv(name))
	}
	for _, secret := range secrets {
		if err := c.hide(secret); err != nil {
			return err
		}
	}
	return nil
}

// accessTokens finds the tokens of Nix's setting access-tokens, host=token or host=kind:token, see
// https://nix.dev/manual/nix/latest/command-ref/conf-file#conf-access-tokens.
func accessTokens(config string) []string {
	var tokens []string
	for line := range strings.Lines(config) {
		name, value, _ := strings.Cut(line, "=")
		if !strings.HasSuffix(strings.TrimSpace(name), "access-tokens") {
			continue
		}
		for _, pair := range strings.Fields(value) {
			_, token, _ := strings.Cut(pair, "=")
			if _, bare, ok := strings.Cut(token, ":"); ok {
				token = bare
			}
			tokens = append(tokens, token)
		}
	}
	return tokens
}

// keychain is the usual one, whose passwords are hidden as soon as they are used.
func (c *console) keychain(githubToken string) authn.Keychain {
	return hidingKeychain{registry.Keychain(githubToken), c.hide}
}

type hidingKeychain struct {
	inner authn.Keychain
	hide  func(string) error
}

func (k hidingKeychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), r)
}

func (k hidingKeychain) ResolveContext(ctx context.Context, r authn.Resource) (authn.Authenticator, error) {
	auth, err := authn.Resolve(ctx, k.inner, r)
	if err != nil || auth == authn.Anonymous {
		return auth, err
	}
	return hidingAuthenticator{auth, k.hide}, nil
}

type hidingAuthenticator struct {
	inner authn.Authenticator
	hide  func(string) error
}

func (a hidingAuthenticator) Authorization() (*authn.AuthConfig, error) {
	return a.AuthorizationContext(context.Background())
}

func (a hidingAuthenticator) AuthorizationContext(ctx context.Context) (*authn.AuthConfig, error) {
	config, err := authn.Authorization(ctx, a.inner)
	if err != nil {
		return nil, err
	}
	for _, secret := range []string{config.Password, config.Auth, config.IdentityToken, config.RegistryToken} {
		if err := a.hide(secret); err != nil {
			return nil, err
		}
	}
	return config, nil
}

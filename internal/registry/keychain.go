package registry

import (
	"context"
	"fmt"
	"io"

	ecr "github.com/awslabs/amazon-ecr-credential-helper/ecr-login"
	"github.com/chrismellard/docker-credential-acr-env/pkg/credhelper"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/google"
)

// githubRegistry is the only host that ever gets the GitHub token.
const githubRegistry = "ghcr.io"

// Keychain finds credentials where a user of docker or ko expects them: docker's (or podman's) configuration and its
// credential helpers, then githubToken for ghcr.io, then what the environment holds for Google, Amazon and Azure
// registries. The first that knows the registry answers, so an explicit login wins. An empty githubToken is none.
// Nothing is looked up before the keychain is asked.
func Keychain(githubToken string) authn.Keychain {
	// The helper logs each miss at error level, and a miss is the normal case.
	amazon := ecr.NewECRHelper(ecr.WithLogger(io.Discard))
	return endingKeychain{authn.NewMultiKeychain(
		authn.DefaultKeychain,
		githubKeychain{token: githubToken},
		google.Keychain,
		authn.NewKeychainFromHelper(amazon),
		authn.NewKeychainFromHelper(credhelper.NewACRCredentialsHelper()),
	)}
}

// endingKeychain ends with its context, whatever it waits for: docker's library has no context for a credential helper that
// does not answer, nor for a configuration that is a named pipe.
type endingKeychain struct{ inner authn.Keychain }

func (k endingKeychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	return k.inner.Resolve(r)
}

func (k endingKeychain) ResolveContext(ctx context.Context, r authn.Resource) (authn.Authenticator, error) {
	type answer struct {
		auth authn.Authenticator
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		auth, err := authn.Resolve(ctx, k.inner, r)
		answered <- answer{auth, err}
	}()
	select {
	case a := <-answered:
		return a.auth, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

type githubKeychain struct{ token string }

func (k githubKeychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if k.token == "" || r.RegistryStr() != githubRegistry {
		return authn.Anonymous, nil
	}
	// ghcr.io reads the token only, but a user name must be there.
	return authn.FromConfig(authn.AuthConfig{Username: "github-actions", Password: k.token}), nil
}

// namedKeychain says whose credentials could not be read: a helper that is configured but not installed is a common fault.
type namedKeychain struct{ inner authn.Keychain }

func (k namedKeychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), r)
}

func (k namedKeychain) ResolveContext(ctx context.Context, r authn.Resource) (authn.Authenticator, error) {
	auth, err := authn.Resolve(ctx, k.inner, r)
	if err != nil {
		return nil, fmt.Errorf("reading credentials for %s: %w", r.RegistryStr(), err)
	}
	return auth, nil
}

package registry

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
)

// problem says in a clause what went wrong.
func (e *Error) problem() string {
	text := Cause(e.Err)
	switch e.Kind {
	case UnknownHost:
		return "there is no host named " + hostname(e.Registry)
	case Unreachable:
		if IsDial(e.Err) {
			return "the registry cannot be reached: " + text
		}
		return "the connection broke: " + text
	case Untrusted:
		return "TLS: the certificate of " + e.Registry + " is not trusted: " + tlsText(e.Err)
	case PlainHTTP:
		return e.Registry + " speaks plain HTTP, which is for loopback only"
	case Unauthorized:
		if e.Anonymous {
			return "not logged in to " + e.Registry + " (" + text + ")"
		}
		return e.Registry + " does not accept the credentials (" + text + ")"
	case Forbidden:
		return "permission denied (" + text + ")"
	case Throttled:
		return "too many requests, even after waiting (" + text + ")"
	case Unavailable:
		return "the registry has a fault, even after trying again (" + text + ")"
	}
	return text
}

// hint says what to do about it; empty if that is not known.
func (e *Error) hint() string {
	switch e.Kind {
	case UnknownHost:
		return "check the spelling, and the network"
	case Unreachable:
		return "check that the registry runs at " + e.Registry
	case Untrusted:
		return "let this machine trust the registry's authority, or allow it with --insecure-registry " + e.Registry
	case PlainHTTP:
		return "give it a certificate, or allow it with --insecure-registry " + e.Registry
	case Unauthorized, Forbidden:
		return e.permissionHint()
	case NotFound:
		if e.Reading {
			return "check the repository's name, and the tag"
		}
		return "check the repository's name; some registries want it created before the first push"
	case Throttled:
		return "log in, or wait for the quota"
	case Unavailable:
		return "see the registry's status page or log"
	}
	return ""
}

func (e *Error) permissionHint() string {
	looked := "credentials were looked for in docker's config and its credential helpers"
	right, verb := "write", "push"
	if e.Reading {
		right, verb = "read", "read"
	}
	if e.Registry == githubRegistry {
		return looked + ", then in the input github-token; " + e.githubHint(right)
	}
	login := "log in with docker/login-action or `docker login " + e.Registry + "`"
	if cloud := cloudOf(e.Registry); cloud != "" {
		return looked + ", then in " + cloud + "'s environment; " + login
	}
	if e.Kind == Forbidden && !e.Anonymous {
		return "the account that is logged in may not " + verb + " there; " + looked
	}
	return looked + "; " + login
}

// githubHint reads ghcr.io's answers, which tell a token that lacks a permission (https://github.com/bachp/git-mirror/pull/516,
// https://github.com/docker/build-push-action/issues/606) from a package that another account created and does not know
// the repository (https://github.com/docker/build-push-action/issues/806).
func (e *Error) githubHint(right string) string {
	job := "the job needs `permissions: packages: " + right + "`"
	linked := "in the package's settings, under Manage Actions access, add this repository with the role " + right
	switch text := strings.ToLower(Cause(e.Err)); {
	case strings.Contains(text, "installation not allowed to create"):
		return job + ", and the organization must let workflows create packages"
	case strings.Contains(text, "installation not allowed"):
		return job + "; if it has that, " + linked
	case strings.Contains(text, "write_package"):
		return "the package is there, and is not linked to this repository: " + linked
	case strings.Contains(text, "create_package"):
		return "a job may create packages of its repository's owner only: check the name after " + githubRegistry + "/"
	case strings.Contains(text, "expected scopes"):
		return job + ", or a personal access token the scope " + right + ":packages"
	}
	return job + ", and the package must give this repository " + right + " access"
}

func cloudOf(registry string) string {
	for suffix, cloud := range map[string]string{
		".amazonaws.com": "AWS", "public.ecr.aws": "AWS", ".azurecr.io": "Azure", "gcr.io": "Google", ".pkg.dev": "Google",
	} {
		if strings.HasSuffix(registry, suffix) {
			return cloud
		}
	}
	return ""
}

// IsDial reports whether a connection could not be made.
func IsDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func tlsText(err error) string {
	var verification *tls.CertificateVerificationError
	if errors.As(err, &verification) {
		return verification.Err.Error()
	}
	return Cause(err)
}

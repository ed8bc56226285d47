package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/org/nixery-action/internal/plainfile"
	"github.com/org/nixery-action/internal/publish"
)

// newDaemon speaks to the daemon that docker's own command would, as far as the
// environment tells it: DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH
// (https://docs.docker.com/reference/cli/docker/#environment-variables).
func newDaemon(sent func(int64)) (*publish.Daemon, error) {
	o := publish.DaemonOptions{Host: os.Getenv("DOCKER_HOST"), Sent: sent}
	if os.Getenv("DOCKER_TLS_VERIFY") != "" {
		config, err := daemonTLS(os.Getenv("DOCKER_CERT_PATH"))
		if err != nil {
			return nil, usagef("docker's daemon: %w", err)
		}
		o.TLS = config
	}
	d, err := publish.NewDaemon(o)
	if err != nil {
		return nil, usageError{err}
	}
	return d, nil
}

// maxCertificates bounds a file of certificates, in bytes.
const maxCertificates = 1 << 20

// daemonTLS reads the certificates in a directory, by docker's names for them.
func daemonTLS(directory string) (*tls.Config, error) {
	if directory == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("looking for certificates: %w; set DOCKER_CERT_PATH", err)
		}
		directory = filepath.Join(home, ".docker")
	}
	authority, err := plainfile.ReadFile(filepath.Join(directory, "ca.pem"), maxCertificates)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of its authority: %w; set DOCKER_CERT_PATH", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("there is no certificate in %s", filepath.Join(directory, "ca.pem"))
	}
	certificate, missing := plainfile.ReadFile(filepath.Join(directory, "cert.pem"), maxCertificates)
	key, err := plainfile.ReadFile(filepath.Join(directory, "key.pem"), maxCertificates)
	var pair tls.Certificate
	if err = errors.Join(missing, err); err == nil {
		pair, err = tls.X509KeyPair(certificate, key)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the certificate to show to it: %w", err)
	}
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}, nil
}

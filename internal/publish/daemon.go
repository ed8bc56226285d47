package publish

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// DefaultDaemon is where docker's daemon listens by default.
const DefaultDaemon = "unix:///var/run/docker.sock"

// pingTimeout bounds how long a daemon may take to say that it is there. One that is being started by its socket needs seconds.
const pingTimeout = 30 * time.Second

// DaemonOptions are the settings of a Daemon; the zero value is docker's own on this machine.
type DaemonOptions struct {
	// Host is the daemon's address as DOCKER_HOST has it, unix:///path or tcp://host:port; empty means DefaultDaemon.
	Host string
	// TLS is for tcp: nil means plain HTTP.
	TLS *tls.Config
	// Sent is called with the number of bytes of layers that are made or sent. Calls may overlap.
	Sent func(n int64)
}

// Daemon loads images into docker's daemon, or another that speaks its API, such as podman's, as `docker load` does
// (https://docs.docker.com/reference/api/engine/, "Import images"). A daemon runs images of one platform, so each artifact
// may have one only. It may be used again.
//
// go-containerregistry's daemon package is not used: it needs a client of docker's own, loads one image a request, and writes with
// the tarball package, which asks for digests that an unread layer does not have.
type Daemon struct {
	host   string
	base   string // URL before the path
	client *http.Client
	sent   func(int64)
}

var _ Destination = (*Daemon)(nil)

// NewDaemon returns a destination that speaks to the daemon at the host. An address that is not understood is an error; whether
// a daemon listens there, Check reports.
func NewDaemon(o DaemonOptions) (*Daemon, error) {
	d := &Daemon{host: o.Host, sent: o.Sent}
	if d.host == "" {
		d.host = DefaultDaemon
	}
	if d.sent == nil {
		d.sent = func(int64) {}
	}
	transport, base, err := daemonTransport(d.host, o.TLS)
	if err != nil {
		return nil, fmt.Errorf("docker's daemon: %w", err)
	}
	d.base, d.client = base, &http.Client{Transport: transport}
	return d, nil
}

// CheckFirst implements [Destination].
func (*Daemon) CheckFirst() bool { return true }

// Check asks the daemon whether it is there. It cannot know the number of platforms; see PlatformsError. Failures of the
// daemon are *DaemonError.
func (d *Daemon) Check(ctx context.Context, _ []Artifact) error {
	_, err := d.ping(ctx)
	return explain(ctx, err)
}

// apiVersion is what goes into paths: an API without it is deprecated.
var apiVersion = regexp.MustCompile(`^[0-9]{1,3}\.[0-9]{1,3}$`)

// ping returns the version of the API to speak.
func (d *Daemon) ping(ctx context.Context) (version string, err error) {
	limited, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	resp, err := d.do(limited, http.MethodGet, "/_ping", nil)
	if err != nil {
		return "", d.fault("asking whether it is there", err)
	}
	defer resp.Body.Close()
	version = resp.Header.Get("Api-Version")
	switch {
	case resp.StatusCode != http.StatusOK:
		return "", d.fault("asking whether it is there", refusal(resp))
	case !apiVersion.MatchString(version):
		return "", d.fault("asking whether it is there", errors.New("what answers there does not speak docker's API"))
	}
	return version, nil
}

func (d *Daemon) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, d.base+path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-tar")
	}
	return d.client.Do(req)
}

// Publish streams all images to the daemon as one docker archive. No layer is held whole in memory; one whose size is not known is written to the
// temporary directory first, one after the other. The digests are those of the images. Several platforms are a *PlatformsError.
func (d *Daemon) Publish(ctx context.Context, artifacts []Artifact) ([]v1.Hash, error) {
	images := make([]v1.Image, len(artifacts))
	for i, artifact := range artifacts {
		image, err := onlyImage(artifact)
		if err != nil {
			return nil, err
		}
		images[i] = image
	}
	version, err := d.ping(ctx)
	if err != nil {
		return nil, explain(ctx, err)
	}
	if err := d.load(ctx, version, artifacts, images); err != nil {
		return nil, explain(ctx, err)
	}
	return digests(artifacts)
}

// load has an end of a pipe for the archive's writer, and the other for the request.
func (d *Daemon) load(ctx context.Context, version string, artifacts []Artifact, images []v1.Image) error {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := writeLoadable(ctx, w, artifacts, images, d.sent)
		_ = w.CloseWithError(err)
		written <- err
	}()
	err := d.send(ctx, version, struct{ io.Reader }{r}) // closed here, so that the writer learns why
	_ = r.CloseWithError(errNotWanted)
	made := <-written
	switch {
	case made != nil && !errors.Is(made, errNotWanted):
		return fmt.Errorf("writing a docker archive for the daemon at %s: %w", d.host, made)
	case err != nil:
		return d.fault("loading images", err)
	case made != nil:
		return d.fault("loading images", made)
	}
	return nil
}

// errNotWanted is what the archive's writer sees when the daemon reads no more.
var errNotWanted = errors.New("the daemon stopped reading before the end")

func (d *Daemon) send(ctx context.Context, version string, archive io.Reader) error {
	resp, err := d.do(ctx, http.MethodPost, "/v"+version+"/images/load?quiet=1", archive)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal(resp)
	}
	return readProgress(resp.Body)
}

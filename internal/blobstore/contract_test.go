package blobstore

import (
	"testing"

	"github.com/org/nixery-action/internal/publish/publishtest"
)

func TestDestinationContract(t *testing.T) {
	publishtest.Run(t, func(t *testing.T, sent func(int64)) publishtest.Site {
		return publishtest.Site{Repository: "localhost/acme", Destination: sites["memory"](t).open().Destination(DestinationOptions{Sent: sent})}
	})
}

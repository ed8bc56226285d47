//go:build !cloud

package blobstore

import (
	"context"
	"fmt"
)

func openCloud(_ context.Context, location string, _ Options) (*Store, error) {
	return nil, fmt.Errorf("storage %s: this program is built without the clouds; nixery-action-cloud has them: make build-cloud", location)
}

//go:build e2e

// Package e2e runs the whole program as users do: workflows of the pages and of
// examples/ under act, scripts of other CI systems, the demo, a release. Paths
// are those of the root of the checkout.
package e2e

import (
	"log"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil {
		log.Fatal(err)
	}
	os.Exit(m.Run())
}

# `make` alone lists the targets. Everything made is in bin/, dist/ and .work/.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

WORK := $(CURDIR)/.work
SCRIPTS := testdata/scripts
NIX_ENV := . $(SCRIPTS)/nix-env.sh
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
SHELL_SCRIPTS = .ci/run testdata/debpkgs/builder.sh $(shell grep -rlE '^#!/usr/bin/env bash|^# shellcheck shell' $(SCRIPTS))
# One input has one digest on every architecture: the digest constants are tested on the one that this machine is not.
OTHER_ARCH = $(if $(filter aarch64,$(shell uname -m)),GOARCH=amd64 go test -vet=off -exec qemu-x86_64-static,GOARCH=arm64 go test -vet=off -exec qemu-aarch64-static)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0
ACTIONLINT := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
FUZZTIME := 10s

# One way to compile for demo, tests, tools and releases, so that a machine compiles what they import once. Only -race needs cgo.
export CGO_ENABLED := 0
export GOFLAGS := $(GOFLAGS) -trimpath -buildvcs=false

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

.PHONY: build
build: ## bin/nixery-action
	@go build -ldflags "-X main.version=$(VERSION)" -o bin/nixery-action ./cmd/action

.PHONY: build-cloud
build-cloud: ## bin/nixery-action-cloud, which serves from buckets of Google's and S3's, too
	@go build -tags cloud -ldflags "-X main.version=$(VERSION)" -o bin/nixery-action-cloud ./cmd/action

.PHONY: release
release: ## a release's programs, in dist/, and their hashes, in shim/release.json: VERSION=v1.2.3
	@$(SCRIPTS)/release $(VERSION) $(PROGRAMS)

.PHONY: demo
demo: ## build an example for two architectures into a registry of its own, and look at it
	@$(SCRIPTS)/setup nix
	@$(MAKE) --no-print-directory build
	@$(NIX_ENV); $(SCRIPTS)/demo

.PHONY: pictures
pictures: ## take the README's pictures of a summary and a plan, with Chromium, into docs/images
	@$(SCRIPTS)/setup
	@$(MAKE) --no-print-directory build
	@$(NIX_ENV); $(SCRIPTS)/pictures

.PHONY: test
test: setup format shim e2e ## install what the tests need, and run them all

.PHONY: setup
setup: ## install what the tests need
	@$(SCRIPTS)/setup

.PHONY: unit
unit: shim ## the tests that need neither Nix, network nor root; make e2e has them too
	go test ./...

# A job of its own in CI: on a cold machine all is compiled a second time for it.
.PHONY: race
race: ## the same under the race detector
	CGO_ENABLED=1 go test -race ./...

.PHONY: shim
shim: ## the tests of the shim, with several versions of node
	$(SCRIPTS)/nodes | while read -r node; do
		echo "node $$($$node --version)"
		(cd shim && $$node --test --test-reporter=spec </dev/null)
	done

# The end-to-end tests see both Nixes, and a directory with real packages.
.PHONY: e2e
e2e: ## all Go tests, also those with a real Nix, real registries and real containers
	@$(SCRIPTS)/setup
	$(NIX_ENV)
	export NIXERY_TEST_DEBPKGS NIXERY_TEST_NIX_PATHS
	NIXERY_TEST_DEBPKGS=$$($(SCRIPTS)/debpkgs bookworm small)
	NIXERY_TEST_NIX_PATHS=$$(dirname "$$(command -v nix-build)"):$$($(SCRIPTS)/nix-newer)
	go vet -tags e2e ./...
	$(OTHER_ARCH) -run 'Bytes|Golden' ./internal/layers ./internal/image
	go test -vet=off -tags e2e -count=1 -timeout 20m ./...
	go test -vet=off -tags cloud -count=1 ./internal/blobstore

.PHONY: bench
bench: ## pack the big package set, against one thread of compress/gzip
	@$(SCRIPTS)/setup
	$(NIX_ENV)
	$(SCRIPTS)/closure bookworm big >$(WORK)/big.json
	go test -run '^$$' -bench 'Pack$$' -benchtime 3x ./bench -args -closure=$(WORK)/big.json
	go test -run '^$$' -bench 'PackMemory$$|Plan$$' -benchtime 3x ./internal/layers

# It prints the table before it fails, with the regressions at its end.
.PHONY: bench-plan
bench-plan: ## what plans cost, beside those of other tools: of testdata's closures, and of CLOSURES="a.json b.json.gz"; fails on a regression
	@mkdir -p $(WORK)
	rm -f $(WORK)/plan-costs.md
	status=0
	go test -run '^$$' -bench '^BenchmarkPlanCosts$$' -benchtime 1x ./bench \
	    -args -costs=$(WORK)/plan-costs.md -closures="$(abspath $(CLOSURES))" >&2 || status=$$?
	cat $(WORK)/plan-costs.md
	exit $$status

.PHONY: format
format: ## gofmt and shellcheck, which take a second; make test has them
	@unformatted=$$(gofmt -l *.go bench cmd internal test); [ -z "$$unformatted" ] || { echo "gofmt -w $$unformatted"; exit 1; }
	shellcheck $(SHELL_SCRIPTS)

# A job of its own in CI: on a cold machine staticcheck takes as long as a fifth of the tests.
.PHONY: lint
lint: format ## and staticcheck and actionlint; each rule's reason is in its configuration
	go run $(STATICCHECK) -tags e2e ./...
	go run $(ACTIONLINT) .github/workflows/*.yml examples/*.yml

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME
	@grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' cmd internal | while IFS=: read -r file target; do
		go test -run '^$$' -fuzz "^$${target#func }$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$file")"
	done

.PHONY: generate
generate: ## the files that are made from the sources: JSON Schemas, tables, action.yml
	go generate ./...

.PHONY: clean
clean: ## remove all that was made here; what is in /nix stays
	rm -rf bin dist .work

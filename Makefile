# The two commands of the README are `make run` and `make test`.

GO       ?= go
FUZZTIME ?= 10s
RUNS     ?= 5
AUDIT    ?= 1h
BIN      ?= bin
LINT      = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# The version is told by git, and passed on by hand: Go's own stamp makes the
# build fail where the clone belongs to another user. Without git there is none.
VERSION        ?= $(shell git describe --tags --always --dirty 2>/dev/null)
export GOFLAGS := $(strip $(GOFLAGS) -buildvcs=false)

.PHONY: run build test test-all autobahn audit deps lint fuzz bench bench-peers fmt clean help

run: need-go ## build the server and the chat, and start both; LAN=1 for a phone
	@LAN=$(LAN) scripts/run

# Static programs: they run wherever the kernel does, whatever C library is there.
build: need-go ## build bin/channels, bin/chat and bin/loadtest
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.release=$(VERSION)' -o $(BIN)/ ./cmd/channels ./cmd/chat ./loadtest

test: deps ## install what the tests need, and run them all
	@scripts/section "vet"
	$(GO) vet -tags conformance,autobahn ./...
	@scripts/section "tests of the packages"
	$(GO) test -race -timeout 25m ./...
	@scripts/section "conformance: the built server and real clients"
	$(GO) test -race -tags conformance -timeout 30m -count 1 ./cmd/channels/conformance/...
	@scripts/section "the same, with a goroutine for each socket"
	GOFLAGS='$(GOFLAGS) -tags=goroutinereaders' $(GO) test -race -tags conformance,goroutinereaders -timeout 30m -count 1 ./cmd/channels/conformance/...
	@scripts/section "pusher-js's own integration suite, in Chromium and in Node"
	@scripts/pusher-js
	@scripts/section "the chat's pages"
	cd chatapp/web && npm run --silent typecheck && npm run --silent test
	@scripts/section "the chat with several browsers"
	$(MAKE) --no-print-directory build
	node --test chatapp/e2e/*.test.mjs

test-all: test lint autobahn ## the tests, the linters, Autobahn's suite, and five minutes of fuzzing for each decoder
	$(MAKE) fuzz FUZZTIME=5m

autobahn: need-go ## run Autobahn's suite for RFC 6455 and compression; needs Python 2.7
	@scripts/autobahn $(CASES)

audit: need-go ## join, leave, publish and make trouble at random over Redis for AUDIT (1h), against a model; and 150 nodes
	$(GO) test -run TestScale -v -count 1 -timeout 0 ./hub/redisbus -nodes 100 -scale 20s
	$(GO) test -run TestScale -v -count 1 -timeout 0 ./hub/redisbus -nodes 150 -scale 20s
	$(GO) test -run TestMassLeaveAndJoin -v -count 1 -timeout 0 ./hub/redisbus -crowd 400000
	$(GO) test -race -run 'TestAudit$$' -v -count 1 -timeout 0 ./hub/redisbus -hard -audit $(AUDIT)
	$(GO) test -race -run TestAuditCluster -v -count 1 -timeout 0 ./hub/redisbus -hard -audit $(AUDIT)
	$(GO) test -race -run TestAuditSentinel -v -count 1 -timeout 0 ./hub/redisbus -hard -audit $(AUDIT)

deps: need-go ## install what the tests need
	@scripts/deps
	@scripts/web

lint: need-go ## run the linters
	@scripts/section "lint"
	$(GO) vet -tags conformance,autobahn ./...
	$(GO) run $(LINT) run

fuzz: need-go ## fuzz every decoder for FUZZTIME
	@scripts/fuzz $(FUZZTIME)

bench: need-go ## run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./protocol ./hub/...

bench-peers: need-go ## compare with Soketi and a plain server, RUNS times (5), into docs/benchmarks.md; BEFORE=file: with an earlier build of the server
	$(GO) run ./loadtest/peers --runs $(RUNS) --before '$(BEFORE)'

fmt: need-go ## format the code
	$(GO) fmt ./...

clean: ## remove what was built
	rm -rf bin .bench

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 12

.PHONY: need-go
need-go:
	@command -v $(GO) >/dev/null || { echo "Go is missing: install Go $$(sed -n 's/^go //p' go.mod) or newer, from https://go.dev/dl/"; exit 1; }

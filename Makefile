# Sextant. `make` alone prints this help.

ENGINE  := .cache/engine
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
GOFLAGS_BUILD := -trimpath -ldflags "-s -w -X main.version=$(VERSION)"
FUZZTIME ?= 20s
BENCHTIME ?= 1s
ROWS ?= 1000000

.DEFAULT_GOAL := help
.PHONY: help build run test test-hubble test-kube test-dashboards test-browser fault kube debian race lint fuzz bench bench-history golden generate docs engine check clean

help: ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## write bin/sextant
	CGO_ENABLED=0 go build $(GOFLAGS_BUILD) -o bin/sextant ./cmd/sextant

run: build engine ## the whole of Sextant on this machine: recorded cluster, real ClickHouse, metrics
	bin/sextant demo

test: engine ## the tests of the product, against a real ClickHouse engine
	go vet ./...
	go test -timeout 20m ./...

test-hubble: ## the tests against Hubble's own server, in a module of their own (minutes to build)
	cd test/hubble && go vet ./... && go test ./...

test-kube: kube ## the tests against a real kube-apiserver with etcd, in a module of their own (minutes to build)
	cd test/kube && go vet ./... && go test -count=1 ./...

test-dashboards: engine debian ## the tests of dashboards and alerts on Prometheus engines, in a module of their own
	cd test/dashboards && go vet ./... && go test -count=1 ./...

test-browser: build engine debian ## the page in a real browser, in a module of its own
	cd test/browser && go vet ./... && go test -count=1 ./...

FAULTS ?= 50
fault: engine ## kill the engine, the collector and the network between them at random while flows come (FAULTS=50, minutes)
	go test ./test/fault -count=1 -v -timeout 15m -run 'TestFaults$$' -faults $(FAULTS)

debian: ## install the programs from Debian that tests run against
	@test/tools/debian.sh chromium prometheus prometheus-alertmanager libzookeeper-java default-jre-headless

kube: .cache/kube/kube-apiserver .cache/kube/etcd ## build kube-apiserver and etcd into .cache/kube, once for each version

# Without -trimpath the packages that they share with the tests are compiled once.
KUBE_VERSION := $(shell sed -n 's|^\tk8s.io/kubernetes \(v[0-9.]*\).*|\1|p' test/tools/kube/go.mod)
.cache/kube/kube-apiserver: test/tools/kube/go.mod
	go build -C test/tools/kube -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$(KUBE_VERSION)" -o $(CURDIR)/$@ k8s.io/kubernetes/cmd/kube-apiserver
	@touch $@

.cache/kube/etcd: test/tools/kube/go.mod test/tools/kube/etcd/main.go
	go build -C test/tools/kube -ldflags "-s -w" -o $(CURDIR)/$@ ./etcd
	@touch $@

race: engine ## the tests under the race detector
	go test -race -timeout 30m ./...

lint: ## golangci-lint
	go build -C test/tools -o $(CURDIR)/.cache/bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	.cache/bin/golangci-lint run ./...

fuzz: ## every fuzz target for FUZZTIME each
	@set -e; for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		for target in $$(grep -ho '^func Fuzz[A-Za-z0-9]*' $$dir/*_test.go | cut -c6-); do \
			echo "== $$dir $$target"; go test $$dir -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME); \
		done; done

bench: engine ## the benchmarks
	go test -run "^$$" -bench . -benchmem -benchtime $(BENCHTIME) ./...

bench-history: engine ## what the history costs: bytes a flow, milliseconds an answer (ROWS=10000000 takes minutes)
	go run ./test/bench -rows $(ROWS) -check

golden: ## write the golden files anew; then read the difference
	go test ./... -update
	git diff --stat

generate: docs ## write everything that is generated: dashboards, rules and pages
	bin/sextant generate all > /dev/null

docs: build ## write the generated reference pages
	bin/sextant docs settings > deploy/SETTINGS.md
	bin/sextant docs flows > deploy/FLOWS.md
	bin/sextant docs connections > deploy/CONNECTIONS.md
	bin/sextant docs gaps > deploy/GAPS.md
	bin/sextant docs pulls > deploy/PULLS.md
	bin/sextant docs charges > deploy/CHARGES.md
	bin/sextant docs buckets > deploy/BUCKETS.md
	bin/sextant docs limits > deploy/LIMITS.md
	bin/sextant docs inventory > deploy/INVENTORY.md
	bin/sextant docs heartbeats > deploy/HEARTBEATS.md
	bin/sextant docs queries > deploy/QUERIES.md

engine: ## fetch the ClickHouse engine into .cache/engine, once
	@deploy/engine/fetch.sh $(ENGINE)

check: ## everything that CI runs
	.ci/run

clean: ## remove what was built; the engine stays
	rm -rf bin

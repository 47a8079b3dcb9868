# What there is to run. Everything needs Go and git only; the race detector is on where there is a C compiler.

RACE := $(if $(shell command -v gcc || command -v clang),-race)
TOOL := go tool -modfile=$(CURDIR)/tools/go.mod

.PHONY: demo demo-check test lint crash histories mutation bench bench-client fuzz picture

## demo: start everything, run charges and refunds, show them, stay up until Ctrl-C
demo: sandbox/bin/sandbox
	@sandbox/bin/sandbox $(ARGS)

## demo-check: the same, and exit; the last line sums it up
demo-check: sandbox/bin/sandbox
	@sandbox/bin/sandbox --check $(ARGS)

# go knows best what has to be built again.
.PHONY: sandbox/bin/sandbox
sandbox/bin/sandbox:
	@sandbox/build.sh

## test: every test. The sandbox's run without the race detector, which finds races of the embedded Temporal server;
## the worker and starter processes that they start are built with it
test:
	go vet ./...
	cd bench && go vet ./...
	go test $(RACE) ./...
	cd sandbox && go vet ./...
	cd sandbox && RACE=$(RACE) go test -timeout 20m ./...

## lint: golangci-lint, workflowcheck, tidy modules
lint:
	go mod tidy -diff
	cd sandbox && go mod tidy -diff
	cd bench && go mod tidy -diff
	cd tools && go mod tidy -diff
	$(TOOL) golangci-lint run ./...
	cd sandbox && $(TOOL) golangci-lint run --config ../.golangci.yml ./...
	cd bench && $(TOOL) golangci-lint run --config ../.golangci.yml ./...
	$(TOOL) workflowcheck ./workflows/...

## crash: kill real processes with SIGKILL at named points while money moves, and compare all books; SEED= repeats a run,
## CHARGES= and REFUNDS= say how much
SEED ?= 0
CHARGES ?= 300
REFUNDS ?= 100
crash:
	@cd sandbox && RACE=$(RACE) go run ./crash --seed=$(SEED) --charges=$(CHARGES) --refunds=$(REFUNDS) $(ARGS)

## histories: record the histories that workflows/replay_test.go replays and that are missing; ARGS="-only NAME" records one
histories:
	@cd sandbox && go run ./histories $(ARGS)

## mutation: change the workflows in ten ways that matter, and show that replaying the histories finds each
mutation:
	@go run ./workflows/mutation $(ARGS)

## bench: charges per second, latencies and cost beside a bare workflow with one HTTP activity; ARGS="--rounds 3" is quicker,
## ARGS=--temporal-on-postgres has Temporal on PostgreSQL
bench:
	@cd sandbox && go run ./throughput $(ARGS)

## bench-client: what a charge costs through our HTTP client, beside net/http and other clients; bench/README.md
bench-client:
	@cd bench && go run . $(ARGS)

## fuzz: every fuzz target for FUZZTIME
FUZZTIME ?= 30s
fuzz:
	@set -e; for file in $$(git grep -l '^func Fuzz' -- '*_test.go'); do \
		for target in $$(grep -o '^func Fuzz[A-Za-z0-9]*' $$file | cut -c6-); do \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x ./$$(dirname $$file); \
		done; \
	done

## picture: the pictures of Temporal Web in docs/, taken by the test that reads what they show; needs Chromium
picture:
	cd sandbox && CI=true go test -count=1 -timeout 5m ./browser -pictures $(CURDIR)/docs

# All targets need only Go and git, unless noted. The race detector is on if a C compiler is installed.

RACE := $(if $(shell command -v gcc || command -v clang),-race)
TOOL := go tool -modfile=$(CURDIR)/tools/go.mod

.PHONY: compose-check demo demo-check test lint crash fleet fairness reconcile attack year histories mutation bench memory capacity bench-latency bench-refusals bench-client growth
.PHONY: reconcile-file
.PHONY: fuzz vulncheck sbom pin-images picture

## demo: start all components, run charges and refunds, show their progress, and keep running until Ctrl-C
demo: sandbox/bin/sandbox
	@sandbox/bin/sandbox $(ARGS)

## demo-check: the same, but exit after the demo; the last line is a summary
demo-check: sandbox/bin/sandbox
	@sandbox/bin/sandbox --check $(ARGS)

# Phony: the go command determines what is out of date.
.PHONY: sandbox/bin/sandbox
sandbox/bin/sandbox:
	@[ -x $@ ] || echo 'Preparing the first build.' >&2
	@cd sandbox && go run ./build

## test: all tests. The sandbox's tests run without the race detector, which reports races of the embedded Temporal server.
## The worker and starter processes that they start are built with it. Its packages are tested one after the other, because each
## runs servers, processes or a browser; four tests of a package at once, because they wait most of the time. A year of waiting has no
## race detector either: it takes minutes with it. SEQUENCES is the number of random sequences of each kind in the model test, by default 100
YEAR := TestPaymentsThatWaitForAYear
test:
	go vet ./...
	cd bench && go vet ./...
	go test $(RACE) -timeout 20m $$(go list ./... | grep -v '/workflows$$')
	go test $(RACE) -timeout 20m ./workflows -skip '^$(YEAR)$$' -rapid.checks=$(or $(SEQUENCES),100)
	go test -timeout 20m ./workflows -run '^$(YEAR)$$'
	cd examples/ownprocessor && go vet ./... && go test ./...
	cd tools && go vet ./... && go test ./...
	cd sandbox && go vet ./...
	cd sandbox && RACE=$(RACE) go test -p 1 -parallel 4 -timeout 20m ./...

## lint: golangci-lint, workflowcheck, and whether the modules are tidy
lint:
	go mod tidy -diff
	cd sandbox && go mod tidy -diff
	cd bench && go mod tidy -diff
	cd examples/ownprocessor && go mod tidy -diff
	cd tools && go mod tidy -diff
	$(TOOL) golangci-lint run ./...
	cd sandbox && $(TOOL) golangci-lint run --config ../.golangci.yml ./...
	cd bench && $(TOOL) golangci-lint run --config ../.golangci.yml ./...
	cd examples/ownprocessor && $(TOOL) golangci-lint run --config ../../.golangci.yml ./...
	cd tools && $(TOOL) golangci-lint run --config ../.golangci.yml ./...
	$(TOOL) workflowcheck ./workflows/...

## crash: send SIGKILL to real processes at named points while payments are in flight, and compare the processor's ledger,
## the store, the workflows and the callers' results. SEED= repeats a run, CHARGES= and REFUNDS= set the load
SEED ?= 0
CHARGES ?= 300
REFUNDS ?= 100
crash:
	@cd sandbox && RACE=$(RACE) go run ./crash --seed=$(SEED) --charges=$(CHARGES) --refunds=$(REFUNDS) $(ARGS)

## fleet: run worker processes against one rate limit, kill, add, freeze and pause them and move their demand, and count what arrives at
## the processor in any second; the last line is a summary. ARGS=--short takes a minute and a half instead of three
fleet:
	@cd sandbox && go run ./fleet $(ARGS)

## reconcile: put 20,000 payments in the simulator and the store, plant each kind of difference, kill the worker and restart Temporal
## meanwhile, and compare what is found, at three seeds; the last line is a summary. SEED= repeats a run.
## ARGS="--payments 2000 --trials 1 --live 0" takes about a minute
reconcile:
	@cd sandbox && go run ./reconcile --seed=$(SEED) $(ARGS)

## attack: attack a running sandbox as an outsider, through Temporal's API, HTTP, files and binaries; the last line is a summary.
## ARGS="--only TEXT" selects attacks by their names
attack:
	@cd sandbox && RACE=$(RACE) go run ./attack $(ARGS)

## year: let payments wait for a year in each status in which they can wait, while time is skipped; the last line is a summary
year:
	@output=$$(go test -count=1 -run '^$(YEAR)$$' -v ./workflows) || { echo "$$output"; exit 1; }; \
	echo "$$output" | grep -e '    --- PASS.*/of/'; echo "$$output" | sed -n 's/.*\(year: .*\)/\1/p'

## histories: record the missing histories of those that workflows/replay_test.go replays; ARGS="-only NAME" records one
histories:
	@cd sandbox && go run ./histories $(ARGS)

## mutation: make twelve changes to the workflows that the recorded histories must detect, and show that replaying them does
mutation:
	@go run ./workflows/mutation $(ARGS)

## compose-check: build the images of docker-compose.yml without pulling any, run it as it is in containers of podman, and check from
## outside that it charges, heals and loses nothing; the last line is a summary. It needs root on Debian, and some minutes. ARGS=--short is faster
compose-check:
	@sandbox/containers/install.sh
	@cd sandbox && go build -o bin/containers ./containers && bin/containers $(ARGS)

## bench: throughput, latency and cost of charges, compared with a bare workflow with one HTTP activity. ARGS="--rounds 3" is
## faster, ARGS=--temporal-on-postgres runs Temporal on PostgreSQL
bench:
	@cd sandbox && go run ./throughput $(ARGS)

## bench-latency: how long one charge takes in the sandbox with a processor that takes 1 ms, one charge after the other
bench-latency:
	@cd sandbox && go run ./throughput latency $(ARGS)

## memory: a worker's memory after 100,000 charges and with 10,000 payments that wait; the last line is a summary. Needs 15 GB for Temporal
## and an hour; ARGS="--charges 10000 --waiting 2000" takes some minutes, ARGS=--temporal-on-postgres needs less memory
memory:
	@cd sandbox && go run ./throughput memory $(ARGS)

## capacity: what a charge costs on PostgreSQL: CPU time, history, rows, bytes, actions; docs/capacity.md computes sizes from it
capacity:
	@cd sandbox && go run ./throughput capacity $(ARGS)

## bench-refusals: throughput of charges at processors that refuse 2 % of the calls, and all calls beyond a limit, with a 429
bench-refusals:
	@cd sandbox && go run ./throughput refusals $(ARGS)

## fairness: how much the flood of one merchant delays another, with and without the settings of Temporal for it; the last line is a
## summary. A run takes half an hour. ARGS="--charges 160 --others 20 --per-second 8 --calls 2 --limit 0 --latency 500ms" takes minutes
fairness:
	@cd sandbox && go run ./fairness $(ARGS)

## bench-client: cost of a charge through Florin's HTTP client, compared with net/http and other clients; see bench/README.md
bench-client:
	@cd bench && go run . $(ARGS)

## batch: execute a file of N lines (default: 2000) with processes that are killed on the way, and compare the books
.PHONY: batch
batch:
	@cd sandbox && go run ./batch --lines $(or $(N),2000) $(ARGS)

## growth: compare the store with 10,000 and with 10,000,000 payments (SQLite: 1,000,000). Needs PostgreSQL, 15 GB for temporary files, 12 GB of memory and
## half an hour; ARGS="--postgres 1000000" is faster
growth:
	@cd sandbox && go run ./growth $(ARGS)

## reconcile-file: compare N (1000000) stored payments with a settlement file that has planted differences, and tell which are found, and the memory
## and time of that; the last line is a summary. ARGS="--seed N" repeats a run
reconcile-file:
	@cd sandbox && go run ./settlement --payments=$(or $(N),1000000) $(ARGS)

## fuzz: run each fuzz target of all modules for FUZZTIME. CI gives a number of executions, 2000x: at the end of a time, go test
## sometimes reports its own deadline as a failure
FUZZTIME ?= 30s
FUZZFILES ?= '*_test.go'
fuzz:
	@set -e; for file in $$(git grep -l '^func Fuzz' -- $(FUZZFILES)); do \
		for target in $$(grep -o '^func Fuzz[A-Za-z0-9]*' $$file | cut -c6-); do \
			echo "$$target in $$file"; \
			(cd $$(dirname $$file) && go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x .); \
		done; \
	done

## vulncheck: report known vulnerabilities in the code that is called. Needs https://vuln.go.dev, and is skipped without it
vulncheck:
	@.ci/vulncheck

## sbom: write the bill of materials of each program, CycloneDX in JSON, to bin/
sbom:
	go build -trimpath -o bin/ ./cmd/...
	@set -e; for program in worker starter simulator; do \
		go run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0 bin -json -std \
			-version "$$(git describe --always --dirty)" -output bin/$$program.cdx.json bin/$$program; \
		echo bin/$$program.cdx.json; \
	done

## pin-images: pin the images that docker-compose.yml and Dockerfile name to the digests that their registries have for the tags now.
## ARGS=--check changes nothing, and fails if an image has no digest, or one that its registry does not have
pin-images:
	@cd tools && go run ./pinimages $(ARGS) ../docker-compose.yml ../Dockerfile

## picture: take the screenshots of Temporal Web in docs/; the browser test that takes them also checks their text. Needs
## Chromium
picture:
	cd sandbox && CI=true go test -count=1 -timeout 5m ./browser -pictures $(CURDIR)/docs

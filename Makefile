# `make run` starts a town of things, `make test` runs every test, `make firmware` runs what is for chips on emulated ones,
# `make bench` measures beside peers, `make scale` what a million devices cost, `make soak` lives through simulated towns until one
# is not as it must be, `make town-cluster` ends the nodes of one that has several, `make miri` looks for undefined behaviour.
# Each installs what it needs.

PYTHON := .venv/bin/python
BINARY := target/release/thingward

.PHONY: run build test soak fuzz coverage miri town-cluster scale firmware bench deb

run: ## build and start the demo town
	@scripts/install run
	@scripts/build
	@$(BINARY) demo

build: ## build the binary
	@scripts/install run
	@scripts/build

test: ## install what the tests need and run all of them
	@scripts/install test
	@scripts/build
	cd console && npm run --silent check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --release --locked -- -D warnings
	THINGWARD_PYTHON=$(CURDIR)/$(PYTHON) THINGWARD_NODE_MODULES=$(CURDIR)/tests/peers/node_modules \
		cargo test --workspace --release --locked

soak: ## town after town from SEED on, COUNT of them or until stopped; a failing one says how it is run again
	@cargo build --workspace --bin thingward-town --release --locked
	@SEED=$(SEED) COUNT=$(COUNT) target/release/thingward-town

town-cluster: ## three nodes over NATS, PostgreSQL, an object store and a load balancer, all of which end and come back
	@scripts/install test
	@scripts/build
	cargo test --workspace --test nodes --release --locked -- --nocapture

scale: ## measure what a million devices cost one core, and write docs/scale.md
	@cargo build --workspace --bin thingward-benches --release --locked
	@target/release/thingward-benches devices

fuzz: ## look for inputs that bring a decoder down: SECONDS for each, or TARGET alone
	@scripts/install fuzz
	@scripts/fuzz "$(TARGET)" $(SECONDS)

coverage: ## what the corpus of the decoders does not reach, held against fuzz/coverage.txt
	@scripts/install coverage
	@scripts/coverage

miri: ## run the unit tests of the crates without I/O under Miri
	@scripts/install miri
	@scripts/miri

firmware: ## build what is for microcontrollers, run it on emulated ones, measure it
	@scripts/install firmware
	@firmware/run

bench: ## measure beside peers, and write docs/performance.md
	@scripts/install bench
	@scripts/build
	@cargo build --workspace --bin thingward-benches --release --locked
	@target/release/thingward-benches $(CURDIR)/tests/peers/node_modules $(CURDIR)/$(PYTHON)

deb: build ## make a Debian package with hardened systemd units
	@packaging/deb $(BINARY)

# Each target is one line; the logic is in xtask/. `make help` lists them.
XTASK := cargo xtask

.DEFAULT_GOAL := help
.PHONY: help demo build test test-fast check bench setup clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## run two real Spark jobs through a gateway on this machine (DEMO_KEEP=1 keeps it up)
	@$(XTASK) demo

build: ## build the release binary, target/release/lamplighter
	@cargo build --release --package lamplighter

test: ## run every test, on two Spark lines, PostgreSQL and real clients; installs what is missing in the cache
	@$(XTASK) test

test-fast: ## run the tests with one Spark line and without Airflow
	@$(XTASK) test --fast

check: ## check format, lints, generated files and licences
	@$(XTASK) check

bench: ## measure what docs/benchmarks.md reports
	@$(XTASK) bench

setup: ## install the test environments in the cache, and print where they are
	@$(XTASK) setup

clean: ## remove what was built here; the cache stays (cargo xtask clean --cache removes that too)
	@$(XTASK) clean

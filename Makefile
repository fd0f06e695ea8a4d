# What one does with walpilot's sources. `make help` lists it.
#
# Everything works from a clean clone on a machine that has only Rust and apt: what else is needed is installed first
# (tests/install-dependencies.sh), and nothing is installed when all is there.

SHELL := /bin/sh
CARGO ?= cargo
# Arguments for `make demo`, for example ARGS="--for 5s".
ARGS ?=
# Server versions for `make test-matrix`, beside the installed one.
VERSIONS ?= 13 14 16 17 18
# Test programs for `make test-matrix`, for example TESTS="preflight setup"; all without it.
TESTS ?=
# Subjects for `make bench`, for example BENCH="check"; all without it.
BENCH ?=
# Rounds of the random and destructive tests for `make soak`.
ROUNDS ?= 100
# Every test writes the snapshots that it reads into this file, so that forgotten ones are noticed.
REFERENCES := $(CURDIR)/target/snapshot-references.txt

.PHONY: help demo test soak test-matrix lint bench deps

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: ## Try everything on two throwaway clusters (ARGS="--for 5s" to pass arguments)
	@tests/install-dependencies.sh demo
	@$(CARGO) run --release --locked -- demo $(ARGS)

test: deps ## Run all tests on the installed PostgreSQL version
	@mkdir -p target && rm -f $(REFERENCES)
	INSTA_UPDATE=no INSTA_SNAPSHOT_REFERENCES_FILE=$(REFERENCES) $(CARGO) test --locked --no-fail-fast
	@tests/check-snapshots.sh $(REFERENCES)

soak: deps ## Kill, cut and write at random for a long time (ROUNDS=100)
	WALPILOT_TEST_ROUNDS=$(ROUNDS) $(CARGO) test --locked --no-fail-fast --test replication -- --nocapture chaos:: property::

test-matrix: deps ## Run the server tests on PostgreSQL 13, 14, 16, 17 and 18 (VERSIONS="17 18" TESTS="setup" for some)
	@tests/fetch-postgres.sh $(VERSIONS)
	@failed=; for version in $(VERSIONS); do \
	    echo "--- PostgreSQL $$version"; \
	    WALPILOT_TEST_PG=$$version INSTA_UPDATE=no $(CARGO) test --locked --no-fail-fast $(or $(TESTS:%=--test %),--test '*') || failed="$$failed $$version"; \
	done; \
	if [ -n "$$failed" ]; then echo "tests failed on PostgreSQL$$failed"; exit 1; fi

lint: deps ## Check formatting, lints and documentation
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --locked --no-deps --document-private-items

bench: deps ## Measure against peers (BENCH="check" for one subject)
	$(CARGO) bench --locked $(if $(BENCH),$(foreach one,$(BENCH),--bench $(one)),--bench '*')

deps: ## Install what building and testing need (Debian, Ubuntu)
	@tests/install-dependencies.sh

# The recipes people and CI share. `make test` is everything; the other targets are its parts.
CARGO ?= cargo
FEATURES := --workspace --all-features
# Lets the default build share its dependencies with the test build: tokio's test helpers are the one difference.
SHARED := --features tokio/test-util

# The seed of the long runs: another one each time unless given, and printed, so that it can be given again.
SOAK_SEED ?= $(shell date +%s)
SOAK_RUN := $(CARGO) nextest run -p supervision --all-features --locked --profile soak --cargo-profile soak

.PHONY: help check test lint fmt clippy doc benches default-build run-tests bench bench-supervision audit demo-llm \
	soak soak-properties soak-storms soak-model-check soak-crashes soak-power-cut soak-mutants

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

check: ## types only, fast
	$(CARGO) check $(FEATURES) --all-targets

test: lint doc benches default-build run-tests ## all that must hold before a commit lands

lint: fmt clippy ## formatting and lints, warnings denied

fmt:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy $(FEATURES) --all-targets --locked -- -D warnings

doc: ## API documentation, warnings denied
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(FEATURES) --no-deps --locked

benches:
	scripts/build-benches

default-build: ## the binaries as users get them
	$(CARGO) build --bins --locked $(SHARED)
	scripts/check-default-build

run-tests: ## every test, with a closing count
	scripts/run-tests

bench: bench-supervision ## measure (release profile, long)
	$(CARGO) bench --bench turn
	$(CARGO) bench --bench acceptance

bench-supervision: ## supervision beside tokio, ractor, kameo and, if there is one, Erlang (release profile, long)
	$(CARGO) bench -p supervision --bench supervision

measure-faults: ## what a fault in one part costs the others, by class (release profile, long)
	$(CARGO) bench --bench faults

soak: ## the long forms of properties and storms, then mutants (hours)
	scripts/soak

soak-properties: ## each property on ten thousand cases; SOAK_SEED and SOAK_CASES as printed replay
	@echo "SOAK_SEED=$(SOAK_SEED)"
	SOAK_SEED=$(SOAK_SEED) PROPTEST_RNG_SEED=$(SOAK_SEED) SOAK_CASES=$${SOAK_CASES:-10000} $(SOAK_RUN) \
		--lib --test model --test properties -E 'test(/(^|::)p[0-9]+_/) or binary(properties) or test(/^tree::tests::/)'

soak-storms: ## a minute of faults on ten thousand actors, a million lives under one supervisor
	@echo "SOAK_SEED=$(SOAK_SEED)"
	SOAK_SEED=$(SOAK_SEED) SOAK_SECONDS=$${SOAK_SECONDS:-60} SOAK_CYCLES=$${SOAK_CYCLES:-1000000} $(SOAK_RUN) \
		--test storm --test-threads 1

soak-model-check: ## what was written by hand for threads, under all their interleavings up to four preemptions
	LOOM_MAX_PREEMPTIONS=4 $(CARGO) nextest run -p supervision --all-features --locked --test model_check

soak-crashes: ## a thousand kills of the daemon; CRASH_SEED as printed gives the same messages, fates and moments again
	CRASH_SEED=$${CRASH_SEED:-$(SOAK_SEED)} CRASH_KILLS=$${CRASH_KILLS:-1000} CRASH_RESUME_MS=$${CRASH_RESUME_MS:-1000} \
		$(CARGO) nextest run --features failpoints --locked --profile soak --cargo-profile soak --test crash \
		-E 'test(/^matrix::/)'

soak-power-cut: ## nothing answered is missing, over a long script (needs strace); POWER_CUT_TURNS says how long
	POWER_CUT_TURNS=$${POWER_CUT_TURNS:-400} $(CARGO) nextest run --all-features --locked --profile soak --cargo-profile soak \
		--test daemon --no-capture powercut::

soak-mutants: ## every small change of a decision is noticed by a test (needs cargo-mutants)
	scripts/soak-mutants

audit: ## advisories, licences and sources of dependencies (needs cargo-deny)
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is not installed: cargo install --locked cargo-deny"; exit 1; }
	$(CARGO) deny --all-features check

demo-llm: ## the main job on a real language model and a third-party Bot API server, offline after the first time
	scripts/demo-llm --telegram

# make run    install, build, lay down a sample repository, serve it
# make test   format, lint, types, all tests; the last line says how many passed and failed
# make soak   let real writers and readers loose for MINUTES; fails if an answer was stale
# make bench  measure beside nginx and Varnish, and write a report; with QUICK=1 in under three minutes
# make chaos  the same while Git, disk, clients and refstream itself fail; fails if an answer was stale or cut short
SHELL  := /bin/bash
ROOT   ?=
LISTEN ?= 127.0.0.1:8080
ADMIN  ?=
TESTS  ?=
MINUTES ?= 10
QUICK  ?=

.PHONY: all run build test soak chaos bench check clean
all: build

node_modules/.package-lock.json: package.json package-lock.json
# Without package.json's prepare, which would build what is built below.
	npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

build: node_modules/.package-lock.json
	npm run --silent build

run: build
	@fixtures/run "$(ROOT)" "$(LISTEN)" "$(ADMIN)"

check: build
	npm run --silent format
	npm run --silent lint
	npm run --silent types

test: check
	@node test/run.mjs $(TESTS)

soak: build
	@REFSTREAM_SOAK_MINUTES=$(MINUTES) node test/run.mjs --timeout=0 test/e2e/history.test.ts

chaos: build
	@REFSTREAM_CHAOS_MINUTES=$(MINUTES) node test/run.mjs --timeout=0 test/e2e/chaos.test.ts

# Slow clients need many open files.
bench: build
	@ulimit -n "$$(ulimit -Hn)" && QUICK=$(QUICK) node test/bench/compare.mjs

clean:
	rm -rf dist .tap .run

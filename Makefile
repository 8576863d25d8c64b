# make run    install, build, lay down a sample repository, serve it
# make test   format, lint, types, all tests; the last line says how many passed and failed
SHELL  := /bin/bash
ROOT   ?=
LISTEN ?= 127.0.0.1:8080
ADMIN  ?=
TESTS  ?=

.PHONY: all run build test check clean
all: build

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-audit --no-fund
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

clean:
	rm -rf dist .tap .run

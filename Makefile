# make run    install, build, lay down a sample repository, serve it
# make test   npm test: format, lint, types, all tests; the last line is `N passed, N failed`
# make smoke  a dozen tests in a minute, to try another version of Node
# make soak   real writers and readers for MINUTES; fails if an answer was stale
# make chaos  the same while Git, disk, clients and refstream itself fail; fails if an answer was stale or cut short
# make gitea  build Gitea for the tests that put it behind refstream, once; without it they are skipped
# make kubernetes-schemas  get the schemas of Kubernetes' objects for the tests of fixtures/kustomize, once; skipped without them
# make ref-writers  get the libraries with which tests change refs (go-git, JGit, libgit2, dulwich), once; skipped without them
# make bench  measure beside nginx and Varnish, over loopback and between network namespaces, and write a report, in an hour; with
#             QUICK=1 in ten minutes
# make bench-refill measure what a push costs with splices and without, by number of refs; with QUICK=1 in two minutes
# make bench-growth measure what grows with refs, repositories, connections and stored entries; with QUICK=1 in two minutes
# make bench-fleet  measure workers and a fleet, and print tables
#
# make test TESTS='test/x/y.test.ts test/z/' runs these tests only; make test NODE=24, or make smoke NODE=24, with that
# Node, which is installed into .run/.
SHELL  := /bin/bash
ROOT   ?=
LISTEN ?= 127.0.0.1:8080
ADMIN  ?=
TESTS  ?=
NODE   ?=
MINUTES ?= 10
QUICK  ?=

.PHONY: all run build test smoke soak chaos gitea kubernetes-schemas ref-writers bench bench-refill bench-growth bench-fleet clean
all: build

node_modules/.package-lock.json: package.json package-lock.json
# Without package.json's prepare, which would build what is built below.
	npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

build: node_modules/.package-lock.json
	npm run --silent build

run: build
	@fixtures/run "$(ROOT)" "$(LISTEN)" "$(ADMIN)"

run_tests = node test/run.mjs $(if $(NODE),--node=$(NODE))

# Builds what is out of date itself.
test: node_modules/.package-lock.json
	@$(run_tests) $(TESTS)

smoke: node_modules/.package-lock.json
	@$(run_tests) --smoke

soak: build
	@REFSTREAM_SOAK_MINUTES=$(MINUTES) $(run_tests) --timeout=0 test/e2e/history.test.ts

chaos: build
	@REFSTREAM_CHAOS_MINUTES=$(MINUTES) $(run_tests) --timeout=0 test/e2e/chaos.test.ts

gitea:
	@node test/support/upstreams/gitea-build.mjs

kubernetes-schemas:
	@node test/support/kubernetes/schemas.mjs

ref-writers:
	@node test/support/splices/writers/build.mjs

# Slow clients need many open files.
bench: build
	@ulimit -n "$$(ulimit -Hn)" && QUICK=$(QUICK) node test/bench/compare.mjs

# Refs in reftables are measured too if the git on the PATH has them (2.45 and later).
bench-refill: build
	QUICK=$(QUICK) node test/bench/refill.mjs

# Connections need many open files.
bench-growth: build
	@ulimit -n "$$(ulimit -Hn)" && QUICK=$(QUICK) node test/bench/growth.mjs

# One worker beside two, and three nodes of a fleet beside three alone; needs redis-server and etcd.
bench-fleet: build
	QUICK=$(QUICK) node test/bench/compare.mjs workers
	node test/bench/fleet.mjs

clean:
	rm -rf dist .tap .run

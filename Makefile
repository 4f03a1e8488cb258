# The commands that people use. Each does its own set-up on a fresh Debian machine with Node 20 or newer, npm, git and make.

SHELL := /bin/bash
NODE_PATH_LINE = node_bin=$$(tools/find-node) && export PATH="$$node_bin:$$PWD/node_modules/.bin:$$PATH"
# Both options of V8 are explained in src/cli/omp.ts. The second start takes half the time of the first.
OMP = NODE_COMPILE_CACHE=.cache/node node --disable-warning=ExperimentalWarning --max-semi-space-size=4 --heap-growing-percent=100 src/cli/omp.ts
ARGS ?=

.PHONY: help run omp test check fmt fmt-check lint types unit dashboard rel pack bench clean

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

run: node_modules/.package-lock.json _build/dashboard/index.html ## start the broker with the plugin on SQLite, data in ./data (ARGS="--help" lists options)
	@$(NODE_PATH_LINE) && exec env $(OMP) broker --data-dir data $(ARGS)

omp: node_modules/.package-lock.json ## run another command of omp (ARGS="mysql migrate --dry-run")
	@$(NODE_PATH_LINE) && exec env $(OMP) $(ARGS)

test: check unit ## the whole check: format, lint, types, tests

check: fmt-check lint types

fmt: node_modules/.package-lock.json ## format every file
	@$(NODE_PATH_LINE) && biome format --write .

fmt-check: node_modules/.package-lock.json ## say which files are not formatted
	@$(NODE_PATH_LINE) && biome format .

lint: node_modules/.package-lock.json ## look for mistakes
	@$(NODE_PATH_LINE) && biome lint --error-on-warnings . && node tools/erlang/lint.ts

types: node_modules/.package-lock.json dashboard/node_modules/.package-lock.json ## check the types
	@$(NODE_PATH_LINE) && tsc --noEmit && cd dashboard && node_modules/.bin/vue-tsc --noEmit

unit: node_modules/.package-lock.json _build/dashboard/index.html ## run the tests only (ARGS="test/store/**/*.test.ts" picks some)
	@$(NODE_PATH_LINE) && node test/run.ts $(ARGS)

dashboard: _build/dashboard/index.html ## build the dashboard in _build/dashboard

rel: node_modules/.package-lock.json ## build the plugin's release package in _build/default/emqx_plugrel
	@$(NODE_PATH_LINE) && node tools/release/release.ts

pack: node_modules/.package-lock.json ## build the npm package of the omp command in _build
	@mkdir -p _build && npm pack --silent --pack-destination _build

bench: node_modules/.package-lock.json ## measure speed and memory, beside their limits
	@$(NODE_PATH_LINE) && node bench/run.ts $(ARGS)

clean: ## remove what the set-up installed (not ./data)
	rm -rf node_modules dashboard/node_modules tools/node/node_modules .cache _build dist

# The page is built anew when one of its sources is newer.
DASHBOARD_SOURCES = $(shell find dashboard -path dashboard/node_modules -prune -o -type f -print)

_build/dashboard/index.html: dashboard/node_modules/.package-lock.json $(DASHBOARD_SOURCES)
	@$(NODE_PATH_LINE) && cd dashboard && node_modules/.bin/vite build --logLevel warn
	@touch $@

dashboard/node_modules/.package-lock.json: dashboard/package.json dashboard/package-lock.json
	@$(NODE_PATH_LINE) && npm ci --prefix dashboard --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

node_modules/.package-lock.json: package.json package-lock.json
	@command -v npm >/dev/null 2>&1 || { echo "npm is missing: install Debian's npm or Node 20 or newer" >&2; exit 1; }
	@$(NODE_PATH_LINE) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# `make demo` shows it all on this machine, `make test` checks it all. Both set up what they need, in this folder only.

PYTHON := 3.13
UV_VERSION := 0.13.9
UV := .uv/bin/uv
BIN := .venv/bin
PARALLEL := --numprocesses auto --dist worksteal
UNIT := $(BIN)/pytest -m "not e2e and not exploration" $(PARALLEL)
# Two processes with a local cloud each, and two that explore while these wait: tests/e2e/conftest.py gives out the tests.
E2E := tests/e2e tests/examples tests/infra tests/local_cloud tests/benchmarks
WHOLE_JOBS := $(BIN)/pytest --numprocesses 4 --dist loadscope -m "e2e or exploration" $(E2E) tests/faults
BROWSERS := chromium chromium-browser google-chrome
CHROMIUM := chromium fonts-dejavu-core
CDK := $(BIN)/npx --no-install cdk
COMPILE := $(UV) pip compile --quiet --universal --python-version $(PYTHON) --generate-hashes --no-emit-index-url

# jsii, npm and the CDK's command find the project's own Node here; no system Node is needed.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Where a company's own certificate stands between here and the world, the system knows it.
export NODE_USE_SYSTEM_CA ?= 1
export PIP_ROOT_USER_ACTION ?= ignore
unexport VIRTUAL_ENV
# Compiled code is kept, in this folder: without it each of hundreds of processes compiles thousands of modules anew.
unexport PYTHONDONTWRITEBYTECODE

ARGS ?=

# What is done, after so many seconds. The first is said while make reads this file.
STARTED := $(shell date +%s)
say = printf '[%3d s] %s\n' "$$(( $$(date +%s) - $(STARTED) ))"

.PHONY: setup chromium screenshots demo lint style types test test-unit coverage crash-test mutations faults bench bench-latency bench-memory bench-files big-file pages docs lock synth bootstrap deploy smoke-paid clean

setup: .venv/.set-up .emulator/.set-up node_modules/.set-up

# The first Python that has pip fetches uv; where none has, a uv that is already there will do.
$(UV):
	@$(say) "Fetching uv $(UV_VERSION) into .uv/"
	@for python in python3 /usr/bin/python3 python; do \
	  $$python -m pip install --quiet --disable-pip-version-check --target .uv uv==$(UV_VERSION) && exit 0; \
	done; \
	mkdir -p .uv/bin && ln -s "$$(command -v uv)" $(UV) && $(UV) --version \
	  || { rm -rf .uv; echo "Neither pip nor uv was found: install one of them." >&2; exit 1; }

.venv/.set-up: requirements-dev.txt pyproject.toml .python-version | $(UV)
	@$(say) "Python $(PYTHON) and its packages into .venv/: 800 MB, a minute or two"
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) .venv
	@$(UV) pip sync --quiet --require-hashes --python $(BIN)/python requirements-dev.txt
	@$(UV) pip install --quiet --no-deps --python $(BIN)/python --editable .
	@touch $@

# Functions run on the interpreter that runs the emulator, so it is the same one.
.emulator/.set-up: requirements-emulator.txt .venv/.set-up
	@$(say) "AWS on this machine into .emulator/"
	@test -x .emulator/bin/python || $(UV) venv --quiet --python $(BIN)/python .emulator
	@$(UV) pip sync --quiet --require-hashes --python .emulator/bin/python requirements-emulator.txt
	@touch $@

node_modules/.set-up: package.json package-lock.json .venv/.set-up
	@$(say) "The CDK's command into node_modules/"
	@$(BIN)/npm ci --silent
	@touch $@

demo: setup
	@$(say) "The demo"
	@$(BIN)/batchdrop demo
	@$(say) "Done"

lint: style types

style: .venv/.set-up
	@$(say) "Style (ruff)"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .

types: .venv/.set-up
	@$(say) "Types (mypy): a minute or two the first time"
	@$(BIN)/mypy --no-error-summary

# The browser of the console's tests: the system's own package, and no download from elsewhere.
chromium:
	@for each in $(BROWSERS); do command -v $$each >/dev/null && exit 0; done; \
	$(say) "Chromium, for the console's tests: apt-get install $(CHROMIUM)"; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get update -qq && apt-get install -qq --yes --no-install-recommends $(CHROMIUM) >/dev/null; \
	else \
	  echo "The console's tests need Chromium. Install it (Debian: apt-get install $(CHROMIUM), as root), then repeat." >&2; exit 1; \
	fi

# The pictures of docs/console.md, from the pages that the tests look at.
screenshots: setup chromium
	@BATCHDROP_SCREENSHOTS=docs/console $(BIN)/pytest --quiet --numprocesses 0 tests/console/test_browser.py -k screenshot

# mypy has one processor busy, the unit tests all of them: side by side they end sooner. Make names the one that failed.
test: setup chromium style
	@$(MAKE) --no-print-directory --jobs 2 STARTED=$(STARTED) types test-unit
	@$(say) "Tests of the deployed stack, on AWS's emulator, and whole jobs with faults anywhere"
	@$(WHOLE_JOBS)
	@$(say) "Done"

test-unit: setup chromium
	@$(say) "Unit tests"
	@$(UNIT)

# All but the deployed stack's tests, and which lines and branches of functions/ none of them runs; pyproject.toml has the floor.
coverage: setup chromium
	@$(BIN)/pytest -m "not e2e" $(PARALLEL) --cov

# Every call to the outside of whole jobs, with every fault; `make test` runs a share of them.
# Each other job than the main one is struck at every eighth point; at all of them: make crash-test ARGS="--every 1"
# For two faults at a time: make crash-test ARGS="--pairs 500 --seed 100"
crash-test: setup
	@PYTHONPATH=tests POWERTOOLS_LOG_LEVEL=CRITICAL $(BIN)/python benchmarks/crash_test.py $(ARGS)

# Each rule is broken in a copy of the sources: its test must fail. For some of them: make mutations ARGS="unknown_creates.py"
mutations: setup
	@PYTHONPATH=tests $(BIN)/python -m faults.mutations $(ARGS)

# The matrix of docs/faults.md, from a job of 1,000 lines for each fault and provider; fails where a promise is broken.
faults: setup
	@PYTHONPATH=tests POWERTOOLS_LOG_LEVEL=CRITICAL $(BIN)/python benchmarks/fault_matrix.py $(ARGS)

# Figures of docs/performance.md, measured on this machine; the long form: make bench ARGS=--full
# One table alone: .venv/bin/python benchmarks/<table>.py [--full]
bench: setup
	@PYTHONPATH=tests POWERTOOLS_LOG_LEVEL=CRITICAL $(BIN)/python benchmarks/bench.py $(ARGS)

bench-latency: setup
	@$(BIN)/python benchmarks/latency.py $(ARGS)

bench-memory: setup
	@$(BIN)/python benchmarks/memory.py $(ARGS)

# 4 million lines and 2 GB through the local cloud, checked line by line: 15 minutes, 10 GB of disk, 12 GB of memory.
big-file: setup
	@$(BIN)/python benchmarks/big_file.py $(ARGS)

# The pages and schemas that are made from code.
pages: setup
	@$(BIN)/python docs/schemas/generate.py
	@$(BIN)/python docs/schemas/settings_page.py
	@PYTHONPATH=tests $(BIN)/python -m faults.rules_page

# The documentation as a site, into site/public/; it fails on a link that leads nowhere. To read it:
# .venv/bin/python -m http.server --directory site/public
docs: .venv/.set-up
	@$(BIN)/python docs/site/build.py

bench-files: setup
	@PYTHONPATH=tests POWERTOOLS_LOG_LEVEL=CRITICAL $(BIN)/python benchmarks/files_at_once.py $(ARGS)

# Newer versions of everything; the result is committed.
lock: $(UV)
	@$(COMPILE) --upgrade --group pyproject.toml:functions -o requirements.txt
	@$(COMPILE) --upgrade pyproject.toml --all-extras --group dev -o requirements-dev.txt
	@$(COMPILE) --upgrade --group pyproject.toml:emulator -o requirements-emulator.txt

# The stack's template, into cdk.out/; no account is needed.
synth: setup
	@$(CDK) synth --quiet $(ARGS)

# Once per account and region.
bootstrap: setup
	@$(BIN)/python -P -m batchdrop_cli.credentials $(ARGS)
	@$(CDK) bootstrap $(ARGS)

# For example: make deploy ARGS="-c alarm_email=me@example.org"
deploy: setup
	@$(BIN)/python -P -m batchdrop_cli.credentials $(ARGS)
	@$(CDK) deploy $(ARGS)

# Six requests to the real providers, with your keys. It asks first.
smoke-paid: setup
	@$(BIN)/batchdrop smoke-paid

clean:
	@rm -rf .venv .emulator .uv node_modules cdk.out .dependencies .pytest_cache .mypy_cache .ruff_cache .hypothesis .bench site

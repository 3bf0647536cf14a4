# Everything a person or CI runs. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help up test check sim bench soak calm loop kill-points prove lock clean run-packages \
  dev-packages assets

PYTHON := $(or $(shell command -v python3.11),$(shell command -v python3))
VENV := .venv
IN_VENV := $(VENV)/bin/python
PIP := $(IN_VENV) -m pip --disable-pip-version-check --no-input

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' Makefile

up: run-packages assets ## start the whole of Holdfast; Ctrl-C stops it
	@exec $(IN_VENV) manage.py up

test: dev-packages assets ## all tests but the long ones
	@$(IN_VENV) tests/apt.py
	@$(IN_VENV) -m pytest

check: dev-packages ## format, lint, types, import contracts, Django's own checks
	$(IN_VENV) -m ruff format --check .
	$(IN_VENV) -m ruff check .
	$(VENV)/bin/lint-imports
	$(IN_VENV) -m mypy .
	HOLDFAST_HOME=$$(mktemp -d) $(IN_VENV) -W error manage.py check --deploy --fail-level WARNING

SEEDS ?= 200
sim: dev-packages ## the simulator on SEEDS seeds, under PyPy where it is installed
	@$(IN_VENV) tests/apt.py
	@$$(command -v pypy3 || echo $(IN_VENV)) -m tests.simulation --seeds $(SEEDS)

bench: dev-packages ## latency and throughput against a running fleet, as a table
	@$(IN_VENV) -m bench

SOAK_MINUTES ?= 60
soak: dev-packages ## real processes under faults for SOAK_MINUTES
	@$(IN_VENV) -m tests.probe --minutes $(SOAK_MINUTES)

CALM_MINUTES ?= 120
calm: dev-packages ## the demo with parts killed for CALM_MINUTES: nobody must be paged
	@$(IN_VENV) -m tests.probe.calm --minutes $(CALM_MINUTES)

LOOP_ROUNDS ?= 3
loop: dev-packages ## eight kinds of fault to their cure, LOOP_ROUNDS times each; about an hour
	@$(IN_VENV) -m tests.loop --rounds $(LOOP_ROUNDS)

ROUNDS ?= 20
kill-points: dev-packages ## kill the worker at 12 points of a runbook, ROUNDS times each
	@$(IN_VENV) -m tests.kill_points --rounds $(ROUNDS)

PROVE_ROUNDS ?= 1
prove: dev-packages ## each runbook against its real fault, PROVE_ROUNDS times each
	@$(IN_VENV) -m tests.prove --rounds $(PROVE_ROUNDS)

# One environment for both: dev.txt holds all of run.txt. A stamp is newer than its lock file when
# nothing is to be done, so that a second start spends no time here.
$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Holdfast needs python3.11 on the PATH"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "Holdfast needs Python 3.11; $(PYTHON) is $$($(PYTHON) -V)"; exit 1; }
	@echo "making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

run-packages: $(VENV)/stamp-run
dev-packages: $(VENV)/stamp-dev

$(VENV)/stamp-run: requirements/run.txt | $(VENV)/bin/python
	@echo "installing $$(grep -c '^[a-z]' requirements/run.txt) packages; about a minute, once"
	@$(PIP) install --no-deps --only-binary :all: --require-hashes -r requirements/run.txt \
	  | grep --line-buffered -E '^(Collecting|Installing)' || test $${PIPESTATUS[0]} = 0
	@touch $@

$(VENV)/stamp-dev: requirements/dev.txt requirements/run.txt | $(VENV)/bin/python
	@echo "installing $$(grep -c '^[a-z]' requirements/dev.txt) packages; about a minute, once"
	@$(PIP) install --no-deps --only-binary :all: --require-hashes -r requirements/dev.txt \
	  | grep --line-buffered -E '^(Collecting|Installing)' || test $${PIPESTATUS[0]} = 0
	@touch $(VENV)/stamp-run $@

# Browser assets come from npm, locked by package-lock.json. npm itself comes from a wheel where
# the machine has none.
assets: $(VENV)/stamp-assets

$(VENV)/stamp-assets: package.json package-lock.json console/assets.py | $(VENV)/bin/python
	@if ! command -v npm >/dev/null; then echo "installing npm from a wheel"; \
	  $(PIP) install -q --no-deps --require-hashes -r requirements/node.txt; fi
	@PATH="$$PATH:$(CURDIR)/$(VENV)/bin" $(IN_VENV) -m console.assets
	@touch $@

# Lock files are made by a throwaway environment, since pip-tools would drag its own unpinned
# setuptools into ours. No address of a package host may end up in them.
COMPILE = $$tools/bin/pip-compile --quiet --no-header --no-emit-index-url --no-emit-find-links \
  --strip-extras --generate-hashes
lock: ## resolve pyproject.toml again into requirements/*.txt
	@tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && $(PYTHON) -m venv $$tools && \
	$$tools/bin/pip install -q pip-tools && \
	$(COMPILE) --output-file requirements/run.txt pyproject.toml && \
	$(COMPILE) --extra dev -c requirements/run.txt --output-file requirements/dev.txt pyproject.toml && \
	$(COMPILE) --output-file requirements/node.txt requirements/node.in && \
	! grep -nE 'WARNING|://' requirements/*.txt

clean: ## remove the environment and caches; state in var/ stays
	rm -rf $(VENV) node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis

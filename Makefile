# Everything a person or CI calls. The environment is set up once and again whenever the lock file changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo up test quick check pytest lock clean bench

help: ## What can be made
	@grep -hE '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Crown needs Python 3.11 to 3.14; name one: make PYTHON=python3.12" if not (3, 11) <= sys.version_info[:2] <= (3, 14) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@echo "Compiling rembg once (half a minute); without it the first neural cut-out would wait for it."
	$(BIN)/python -c "import rembg" >/dev/null
	touch $(READY)

setup: $(READY) ## The environment in .venv, from the hash-pinned lock file

demo: $(READY) ## Sample pictures (or IMAGES=/folder) from the inbox to the share
	$(BIN)/crown demo $(if $(IMAGES),--images "$(IMAGES)")

up: $(READY) ## Everything with the Dagster UI at one address, stopped by Ctrl-C
	$(BIN)/crown up

check: $(READY) ## Lint, format, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Tests write and sync thousands of small files: in memory, where there is space for them.
MEMORY := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 4000000 { print "/dev/shm" }')

# Folders whose tests of one function each run in seconds; the rest starts services or processes.
QUICK := tests/unit tests/store tests/journal tests/ledger tests/flow tests/sql_models tests/art_records tests/people

test: $(READY) ## Lint, types, import rules and all tests
	@$(MAKE) --no-print-directory -j2 check pytest

quick: $(READY) ## Lint, import rules and the tests without database, service or browser
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(if $(MEMORY),TMPDIR=$(MEMORY)) $(BIN)/python -m pytest --quick -n 2 --dist worksteal $(QUICK)

pytest: $(READY)
	$(if $(MEMORY),TMPDIR=$(MEMORY)) $(BIN)/python -m pytest -n 2 --dist worksteal

bench-%: $(READY) ## A benchmark: bench-ledger, bench-images, bench-cutout, bench-art, bench-motion
	$(BIN)/python -m benchmarks.bench_$*

lock: $(READY) ## Pin everything anew in requirements.lock
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-strip-extras --no-header --extra dev pyproject.toml -o requirements.lock

clean: ## Remove the environment and the demo
	rm -rf $(VENV) var

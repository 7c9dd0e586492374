# Everything a person does here. `make` alone lists it.
# Needs: Python 3.11 or newer with venv, make; node only for what the tests read: the official FHIR examples, LHC-Forms.
# The tests in a browser need Debian's chromium: `make test` installs it where it may, else they are skipped, and say so.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
JOBS ?= 2
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
KNOWLEDGE := src/adjunct/knowledge/knowledge.json
DATA := $(shell find src/adjunct/knowledge/data -type f 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench torture docs mutation lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(KNOWLEDGE) ## a guided example in the terminal; ends by itself
	@$(BIN)/adjunct demo --once

test: $(KNOWLEDGE) fhir-examples browser ## every test (HYPOTHESIS_PROFILE=thorough for more examples, PYTEST_ARGS=... for some)
	$(BIN)/python -m pytest -n $(JOBS) $(if $(HYPOTHESIS_PROFILE),--hypothesis-profile=$(HYPOTHESIS_PROFILE)) $(PYTEST_ARGS)

check: $(KNOWLEDGE) fhir-examples ## style, types, floors, knowledge, and that generated pages are up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/adjunct knowledge check
	$(BIN)/adjunct knowledge book --check
	@if [ -d node_modules/hl7.fhir.r4.examples ]; then $(BIN)/python tools/r4_definitions.py --check && $(BIN)/python tools/refused_examples.py --check; \
	  else echo "npm is not there: what is made from the official FHIR package is not compared" >&2; fi

format: $(READY) ## put the code into its standard form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(KNOWLEDGE) ## measure speed beside the strongest alternative that runs
	$(BIN)/python bench/run.py
	$(BIN)/python bench/exposure.py
	$(BIN)/python bench/trajectory.py
	$(BIN)/python bench/scoring.py
	$(BIN)/python bench/planning.py
	$(BIN)/python bench/session.py
	$(BIN)/python bench/record.py

torture: $(KNOWLEDGE) ## a thousand sessions with every fault of the wire, a thousand records killed at random (an hour)
	$(BIN)/python tools/torture.py
	$(BIN)/python tools/record_torture.py
	$(BIN)/python -m pytest -n $(JOBS) --hypothesis-profile=thorough tests/test_session_fold.py tests/test_session_events.py tests/test_devices.py

docs: $(KNOWLEDGE) fhir-examples ## write the generated pages: rules, facts, claims, record
	$(BIN)/adjunct knowledge book
	$(BIN)/python tools/refused_examples.py

mutation: $(KNOWLEDGE) ## break the evaluator on purpose and see whether the tests notice (slow)
	rm -rf mutants
	$(BIN)/mutmut run
	$(BIN)/mutmut results

lock: ## resolve the dependencies anew (needs uv)
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --upgrade --quiet --output-file requirements/dev.lock

clean: ## remove what can be made again
	rm -rf $(VENV) .venv-peers $(KNOWLEDGE) node_modules .lforms mutants .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# --- how they come about -----------------------------------------------------------------------------------------------

# Every byte comes from the lock; the package itself is built with the locked back end, without a download.
$(READY): requirements/dev.lock pyproject.toml hatch_build.py
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: none was found." >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: set PYTHON=... ($(PYTHON) is older)." >&2; exit 2; }
	@echo "Preparing $(VENV) from requirements/dev.lock ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(KNOWLEDGE): $(READY) src/adjunct/knowledge/compiled.py $(DATA)
	@$(BIN)/python hatch_build.py

.PHONY: fhir-examples
fhir-examples: $(if $(wildcard package-lock.json),node_modules/.ready)

node_modules/.ready: package-lock.json
	@if command -v npm >/dev/null; then npm ci --ignore-scripts --no-audit --no-fund && touch $@; \
	  else echo "npm is not there: the tests over the official FHIR examples are skipped" >&2; fi

.PHONY: browser
browser: .lforms/package/package.json
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && { apt-get install -y -qq chromium >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq chromium; } >/dev/null; }; } \
	  || echo "chromium is not there: the tests in a browser are skipped" >&2

.lforms/package/package.json: tools/lforms.py
	@$(PYTHON) tools/lforms.py && if [ -f $@ ]; then touch $@; fi

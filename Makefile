# Kolosal Workflows. `make help` lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Its options are in pyproject.toml.
COMPILE := $(BIN)/pip-compile --quiet
export DJANGO_SETTINGS_MODULE := kolosal.settings

.DEFAULT_GOAL := help
.PHONY: help run test browser screenshots check fix bench bench-peers crash soak lock vendor clean

help: ## List the commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/run.stamp ## Set everything up and serve on http://localhost:8080, with a worker. Ctrl-C ends it.
	@exec $(BIN)/python manage.py serve

test: $(VENV)/dev.stamp ## Set everything up and run the tests that need no service.
	$(BIN)/python -m pytest -n 4 --dist worksteal

browser: $(VENV)/browser.stamp ## Run the tests of pages in Debian's Chromium; about 8 minutes.
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/browser

screenshots: $(VENV)/browser.stamp ## Make docs/images/ anew: the main pages, in Chromium.
	$(BIN)/python -m tests.browser.screenshots

check: $(VENV)/dev.stamp ## Lint, types, migrations up to date, OpenAPI schema without warnings, docs up to date.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check --fail-level WARNING
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null
	$(BIN)/python manage.py write_docs --check

fix: $(VENV)/dev.stamp ## Format the code, mend what ruff can, write the generated docs anew.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python manage.py write_docs

bench: $(VENV)/dev.stamp ## Measure the figures of docs/performance.md on this machine.
	$(BIN)/python -m benchmarks $(if $(COMPARE),--compare $(COMPARE))

bench-peers: $(VENV)/dev.stamp ## Measure the same work on LangGraph, DBOS, Celery and django-q2; needs both servers.
	$(BIN)/python -m benchmarks.peers

crash: $(VENV)/dev.stamp ## Kill, stall and cut off everything for 3 minutes, on both stores and brokers; nothing may be lost.
	$(BIN)/python -m tests.crash.campaign --all --seconds 180 --runs 600

soak: $(VENV)/dev.stamp ## The same for 30 minutes and 2,000 runs; the figures go into docs/reliability.md.
	$(BIN)/python -m tests.crash.campaign --all --seconds 1800 --runs 2000 --report

lock: $(VENV)/dev.stamp ## Resolve the dependencies anew into requirements/*.txt, with hashes.
	$(COMPILE) \
		--output-file requirements/run.txt pyproject.toml
	$(COMPILE) \
		--constraint requirements/run.txt --extra dev --output-file requirements/dev.txt pyproject.toml
	$(COMPILE) \
		--constraint requirements/dev.txt --extra browser --output-file requirements/browser.txt pyproject.toml

vendor: ## Build static/vendor/ anew from vendor/package-lock.json. Needs node.
	cd vendor && npm ci && npm run build

clean: ## Remove the virtual environment and caches; the data folder stays.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=…" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements/run.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/run.txt
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@ $(VENV)/run.stamp

$(VENV)/browser.stamp: requirements/browser.txt | $(VENV)/dev.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/browser.txt
	@touch $@

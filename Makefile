# make demo and make test are all that a new checkout needs; make help lists the rest.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
PORT ?= 8000
WORKERS ?= auto
PYTEST_ARGS ?=
PICTURES ?= var/clients

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
PACKAGE := pyproject.toml hatch_build.py package-lock.json

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo install test check bench soak clients tester lock clean

help: ## this list
	@echo 'make demo    the demo clinic on http://127.0.0.1:$(PORT)/ (PORT=…)'
	@echo 'make test    every test but the long ones (PYTEST_ARGS=…, WORKERS=…)'
	@echo 'make check   ruff, mypy, import directions'
	@echo 'make bench   speed, as ratios against the alternatives'
	@echo 'make soak    the long tests, with counts and seeds'
	@echo 'make clients Thunderbird, Evolution and other apps against a real server (PICTURES=folder)'
	@echo 'make tester  caldav-server-tester, and its report in docs/reference'
	@echo 'make lock    choose the dependencies'"'"' versions anew (UPGRADE=1: the newest)'
	@echo 'make clean   remove what make created, the demo clinic included'
	@echo 'PYTHON=…     the Python to use, 3.11 or newer (found: $(or $(PYTHON),none))'

demo: install
	CLINICDAV_HOME=var/demo $(BIN)/clinicdav demo --port $(PORT)

install: .venv/.installed

test: .venv/.test-installed
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

check: .venv/.test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.test-installed
	$(BIN)/python -m bench

soak: .venv/.test-installed
	CLINICDAV_SOAK=1 $(BIN)/python -m pytest -m soak -s $(PYTEST_ARGS)

clients: .venv/.test-installed
	tests/clients/install
	CI=true CLINICDAV_TEST_PICTURES='$(PICTURES)' $(BIN)/python -m pytest -m clients -s $(PYTEST_ARGS) tests/clients

tester: .venv/.test-installed
	$(BIN)/python -m tests.caldav.server_tester

lock:
	$(BIN)/python -m pip --quiet install uv
	npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved
	$(COMPILE) -o requirements/run.txt
	$(COMPILE) -o requirements/test.txt --extra test --constraint requirements/run.txt

# Universal: one lock for every Python and system, as their conditions differ (async-timeout below 3.11.3).
COMPILE = $(BIN)/uv --quiet pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--strip-extras --no-emit-index-url --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)

clean:
	rm -rf .venv var build dist web/static/vendor .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@test -n '$(PYTHON)' || { echo 'ClinicDAV needs Python 3.11 or newer, and there is none on the PATH.' \
		'Install one (Debian, Ubuntu: apt install python3 python3-venv) or run make PYTHON=/path/to/python3.' >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'ClinicDAV needs Python 3.11 or newer, and $(PYTHON) is not.' >&2; exit 1; }
	@'$(PYTHON)' -c 'import ensurepip, venv' 2>/dev/null || { \
		echo '$(PYTHON) cannot make virtual environments (Debian, Ubuntu: apt install python3-venv).' >&2; exit 1; }
	'$(PYTHON)' -m venv .venv

.venv/.dependencies: requirements/run.txt | .venv/bin/python
	@echo 'Installing what ClinicDAV needs …'
	@$(PIP) install --require-hashes -r requirements/run.txt
	@touch $@

.venv/.installed: .venv/.dependencies $(PACKAGE)
	@$(PIP) install --no-deps -e .
	@touch $@

.venv/.test-installed: requirements/test.txt .venv/.installed
	@echo 'Installing what the tests need …'
	@$(PIP) install --require-hashes -r requirements/test.txt
	@touch $@

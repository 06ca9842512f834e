# Needs Python 3.11 or newer and make; everything else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= results/local

.PHONY: help install demo test fast check clean

help:
	@echo "make demo   install, then train at 16 px and test at 28..36 px on the built-in data (about 3 minutes)"
	@echo "make test   install, then run the tests"
	@echo "make check  lint, types and tests"

install: .venv/installed

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "restool needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: install
	$(BIN)/restool sweep --train 16 --test 28..36 --out $(OUT)

test: install
	$(BIN)/pytest

fast: install
	$(BIN)/pytest -m "not slow"

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache

# Two commands matter on a fresh machine: `make demo` and `make test`. Both create .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check check-static lint types format clean help

help:
	@echo "make demo    profile LeNet-5-BN and print the paper's comparison"
	@echo "make test    run the tests"
	@echo "make check   tests, lint and types"
	@echo "make format  let ruff format the code"

demo: $(VENV)/.installed-demo
	$(BIN)/addercost profile examples/lenet5_bn.py
	$(BIN)/addercost reproduce latency

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2

check: test check-static

check-static: lint types

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-demo: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable ".[vision]"
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable ".[dev]"
	touch $@ $(VENV)/.installed-demo

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

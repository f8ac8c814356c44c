# Two commands matter on a fresh machine: `make demo` and `make test`. Both create .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := python -m pytest --only-listed-skips
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-all test-browser mutants reports predicted-reports state-errors machine-report training-report \
	gpu-check check check-static lint types format clean help

help:
	@echo "make demo          profile LeNet-5-BN and print the paper's comparison"
	@echo "make test          run the tests, all but the exhaustive ones and those in a browser"
	@echo "make test-all      the same and the exhaustive ones: every operator, kernel shape, kill and table"
	@echo "make test-browser  the HTML report in a real browser"
	@echo "make mutants       small mistakes made in the code: do the tests notice? MUTANTS='--sample 300' takes some"
	@echo "make reports       write reports/ again, the predictions and this machine's measurements"
	@echo "make state-errors  write down how far estimates are from times, from the validations in reports/"
	@echo "make predicted-reports  the predictions alone, in seconds"
	@echo "make gpu-check     test and time the GPU kernels into reports/, on a machine with torch and Triton"
	@echo "make training-report  train on the digits and write reports/training-digits"
	@echo "make check         tests, lint and types"
	@echo "make format        let ruff format the code"

demo: $(VENV)/.installed-demo
	$(BIN)/addercost profile examples/lenet5_bn.py --cpu intel-skylake-x
	$(BIN)/addercost reproduce latency

# The pages in a browser are test-browser's: they would run twice where Chromium is installed.
test: $(VENV)/.installed-dev
	$(BIN)/$(PYTEST) -n 2 --ignore=tests/browser -m "not exhaustive"

# LLVM 22 is the version that most processor tables come from; the tests compare with its simulator.
test-all: test
	tools/debian_package.sh llvm-mca-22 llvm-22
	tools/debian_package.sh pdflatex texlive-latex-extra texlive-science
	$(BIN)/$(PYTEST) -n 2 --ignore=tests/browser -m exhaustive

test-browser: $(VENV)/.installed-browser
	tools/debian_package.sh chromium chromium
	$(BIN)/$(PYTEST) tests/browser

# All of them take hours of processor time; MUTANTS takes parts and options of `python -m tools.mutants --help`.
mutants: $(VENV)/.installed-dev
	$(BIN)/python -m tools.mutants $(MUTANTS)

reports: predicted-reports machine-report

predicted-reports: $(VENV)/.installed-dev
	$(BIN)/python tools/make_reports.py

# From the validations in reports/: what stands beside every estimate, and README's table.
state-errors: $(VENV)/.installed-dev
	$(BIN)/python tools/state_errors.py

# Twenty minutes on an idle machine; files that are there are kept, so remove what is to be measured again.
machine-report: $(VENV)/.installed-dev
	$(BIN)/python tools/machine_report.py

# Trains for minutes; what is done is kept under output/ and not done again.
training-report: $(VENV)/.installed-dev
	$(BIN)/python tools/train_digits.py

# Uses the Python there is: a machine with a GPU brings its own torch and Triton.
gpu-check:
	$(PYTHON) tools/gpu_check.py

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

$(VENV)/.installed-browser: $(VENV)/.installed-dev
	$(INSTALL) --editable ".[dev,browser]"
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

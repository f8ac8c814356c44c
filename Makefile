# Two commands matter on a fresh machine: `make demo` and `make test`. Both create .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODELS_VENV := .venv-models
PYTEST := python -m pytest --only-listed-skips
# Each file of tests runs in one of two processes, so that what its tests share is made once.
IN_TWO := -n 2 --dist loadfile --no-loadscope-reorder --ignore=tests/browser
PIP_INSTALL := bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
INSTALL := $(VENV)/$(PIP_INSTALL)
TOOL_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(VENV)/counting-tools

# Tests start Python a hundred times: it keeps what it has compiled, also where the environment says otherwise.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all test-browser attack attack-quick mutants reports predicted-reports state-errors \
	machine-report training-report models-table gpu-check arm-check check check-all check-static lint types format docs dist \
	clean help

help:
	@echo "make demo          profile LeNet-5-BN and print the paper's comparison"
	@echo "make test          run the tests, all but the exhaustive ones and those in a browser"
	@echo "make test-all      all tests, also the exhaustive ones (every operator, kernel shape, table), a part of the attack"
	@echo "make test-browser  the HTML report in a real browser"
	@echo "make attack        bad calls, damaged files, kills, hostile names: ten minutes of trying to break the tool"
	@echo "make mutants       small mistakes made in the code: do the tests notice? MUTANTS='--sample 300' takes some"
	@echo "make reports       write reports/ again, the predictions and this machine's measurements"
	@echo "make state-errors  write down how far estimates are from times, from the validations in reports/"
	@echo "make predicted-reports  the predictions alone, in seconds"
	@echo "make models-table  trace 152 models of eight packages, in an environment of their own"
	@echo "make gpu-check     test and time the GPU kernels into reports/, on a machine with torch and Triton"
	@echo "make arm-check     compile the CPU kernels for arm64, read their loops, run them by an emulator"
	@echo "make training-report  train on the digits and write reports/training-digits"
	@echo "make check         tests, lint and types"
	@echo "make check-all     all tests, lint and types: what CI runs"
	@echo "make docs          build the site of docs/ into output/site, and manual pages into output/man1"
	@echo "make dist          build a wheel and an sdist into dist/, with manual pages"
	@echo "make format        let ruff format the code"

demo: $(VENV)/.installed-demo
	$(BIN)/addercost profile examples/lenet5_bn.py --cpu intel-skylake-x
	$(BIN)/addercost reproduce latency

# The pages in a browser are test-browser's: they would run twice where Chromium is installed.
test: $(VENV)/.installed-dev
	$(BIN)/$(PYTEST) $(IN_TWO) -m "not exhaustive"

# LLVM 22 is the version that most processor tables come from; the tests compare with its simulator.
# One run of both parts: what is imported, traced and compiled for one is there for the other. The attack waits for
# what it has killed and the browser for its pages, so they run side by side.
test-all: $(VENV)/.installed-browser $(VENV)/counting-tools/.installed
	tools/debian_package.sh llvm-mca-22 llvm-22
	tools/debian_package.sh pdflatex texlive-latex-extra texlive-science
	tools/debian_package.sh chromium chromium
	tools/debian_package.sh ssconvert gnumeric
	$(BIN)/$(PYTEST) $(IN_TWO)
	$(MAKE) --jobs 2 attack-quick test-browser $(BESIDE_THEM)

# A part of the attack, drawn by a fixed seed; `make attack` is the whole of it with a seed of its own.
attack-quick: ATTACK := --quick
attack attack-quick: $(VENV)/.installed-browser
	tools/debian_package.sh chromium chromium
	tools/debian_package.sh ssconvert gnumeric
	tools/debian_package.sh pdflatex texlive-latex-extra texlive-science
	$(BIN)/python -m tests.attack $(ATTACK)

test-browser: $(VENV)/.installed-browser
	tools/debian_package.sh chromium chromium
	$(BIN)/$(PYTEST) tests/browser

# All of them take hours of processor time; MUTANTS takes parts and options of `python -m tools.mutants --help`.
mutants: $(VENV)/.installed-dev
	$(BIN)/python -m tools.mutants $(MUTANTS)

reports: predicted-reports machine-report

predicted-reports: $(VENV)/.installed-dev
	$(BIN)/python tools/make_reports.py

# From the validations in reports/: what stands beside every estimate, and the table of docs/cost-models.md.
state-errors: $(VENV)/.installed-dev
	$(BIN)/python tools/state_errors.py

# Twenty minutes on an idle machine; files that are there are kept, so remove what is to be measured again.
machine-report: $(VENV)/.installed-dev
	$(BIN)/python tools/machine_report.py

# Trains for minutes; what is done is kept under output/ and not done again.
training-report: $(VENV)/.installed-dev
	$(BIN)/python tools/train_digits.py

# Its packages stay out of .venv: one of them asks for another OpenCV than the one that needs no display.
models-table: $(MODELS_VENV)/.installed
	$(MODELS_VENV)/bin/python -m benchmarks.models $(MODELS)

# Uses the Python there is: a machine with a GPU brings its own torch and Triton.
gpu-check:
	$(PYTHON) tools/gpu_check.py

# What emulation cannot tell, speed, is estimated by llvm-mca for the cores that LLVM models.
arm-check: $(VENV)/.installed-dev
	tools/debian_package.sh llvm-mca-22 llvm-22
	tools/debian_package.sh qemu-aarch64 qemu-user
	tools/debian_package.sh aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross
	$(BIN)/python -m tools.arm_check
	$(BIN)/python -m tools.arm_loops
	$(BIN)/python -m tools.arm_images

check: test check-static

# The attack takes a minute longer than the browser: lint and types run in that time.
check-all: BESIDE_THEM := check-static
check-all: test-all

check-static: lint types

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	$(BIN)/python tools/man_pages.py output/man1

# Both are installed in empty environments and used there, before they are left in dist/.
dist: $(VENV)/.installed-dev
	$(BIN)/python tools/distributions.py

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-demo: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable ".[vision]"
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable ".[dev]"
	touch $@ $(VENV)/.installed-demo

# Tools that reconcile explains and that would bring much with them, or another version of one: each folder is on the
# path of a test's process alone.
$(VENV)/counting-tools/.installed: $(VENV)/.installed-dev
	rm -rf $(@D)
	$(TOOL_INSTALL)/thop-0.0.31 thop==0.0.31.post2005241907
	$(TOOL_INSTALL)/tools calflops==0.3.2 accelerate==1.15.0 einops==0.8.2 hjson==3.1.0 py-cpuinfo==9.0.0
	$(TOOL_INSTALL)/tools --no-build-isolation deepspeed==0.19.8
	touch $@

$(VENV)/.installed-browser: $(VENV)/.installed-dev
	$(INSTALL) --editable ".[dev,browser]"
	touch $@

$(MODELS_VENV)/.installed: pyproject.toml constraints.txt benchmarks/model_packages.txt
	$(PYTHON) -m venv $(MODELS_VENV)
	$(MODELS_VENV)/$(PIP_INSTALL) --editable ".[timm,transformers,vision]"
	$(MODELS_VENV)/$(PIP_INSTALL) --requirement benchmarks/model_packages.txt
	$(MODELS_VENV)/$(PIP_INSTALL) --no-deps ultralytics==8.4.190
	touch $@

clean:
	rm -rf $(VENV) $(MODELS_VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

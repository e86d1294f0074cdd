# Two commands do all the set-up: `make quickstart` and `make test`. Each makes .venv where it is needed.

PYTHON ?= python3
BIN := .venv/bin
OUTPUT ?= runs/quickstart
DATA ?= starter
SPLIT ?= group
SETTINGS ?=

.PHONY: help quickstart test test-slow test-all test-avx2 test-stranger check format docs site install install-locked wheel lock audit clean

help:
	@echo "make quickstart   install, fetch the default model, tune it on the starter data, write $(OUTPUT)/report.html"
	@echo "make test         install the development tools and run the tests"
	@echo "make test-slow    the slow tests, which 'make test' leaves out and CI runs on every change"
	@echo "make test-all     both, and what takes many minutes"
	@echo "make test-avx2    what depends on the processor, as one without AVX-512 computes it"
	@echo "make test-stranger  the commands of README.md in a folder of their own, with an empty cache"
	@echo "make check        format, lint, types and import direction"
	@echo "make format       let the formatter write"
	@echo "make docs         write the reference page of the settings"
	@echo "make site         build the documentation into site/, and check its links"
	@echo "make install-locked   install only files whose hashes are in requirements.lock, torch excepted"
	@echo "make wheel        write a wheel and a source archive into dist/"
	@echo "make lock         write constraints.txt and requirements.lock from what is installed"
	@echo "make audit        look up known weaknesses of what is locked"

quickstart: .venv/installed
	@$(BIN)/tutelage run --data $(DATA) --split $(SPLIT) --output $(OUTPUT) $(if $(filter runs/quickstart,$(OUTPUT)),--overwrite) $(SETTINGS)

# Tests run side by side, so threads that wait must sleep; the real training uses both cores and runs alone.
test: .venv/installed-dev
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 2 -m "not end_to_end and not nightly and not forks and not slow"
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 2 -m "forks and not nightly and not slow"
	$(BIN)/python -m pytest -m "end_to_end and not nightly and not slow"

# Further variants of what `test` has shown once.
test-slow: .venv/installed-dev
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 2 -m "slow and not end_to_end and not nightly and not forks"
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 2 -m "slow and forks"
	$(BIN)/python -m pytest -m "slow and end_to_end"

# Both and what takes minutes: 200 kills, a crash and a signal before every operation, 1,000 power cuts, damaged files.
test-all: test test-slow .venv/transformers-4
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 2 -m "nightly and not forks and not end_to_end"
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 2 -m "forks and nightly"
	$(BIN)/python -m pytest -m "end_to_end and nightly"

# What depends on the processor, as one without AVX-512 computes it; where this one has none, `test` has shown it.
test-avx2: .venv/installed-dev
	@if grep -qs avx512f /proc/cpuinfo; then \
	  ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE \
	    $(BIN)/python -m pytest -n 2 -m "not end_to_end and not nightly and not forks" tests/model tests/generation && \
	  ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 \
	    $(BIN)/python -m pytest -m "end_to_end and not nightly" tests/end_to_end/test_default_model.py; \
	else echo "This processor has no AVX-512: nothing to repeat."; fi

check: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyrefly check
	$(BIN)/lint-imports

format: .venv/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: .venv/installed
	$(BIN)/python docs/reference/generate.py

# Without a network, once its generator is installed. A link that leads nowhere, or a page that loads something from
# elsewhere, is an error.
site: .venv/site
	rm -rf site
	.venv/site/bin/zensical build --clean --strict
	.venv/site/bin/python -m tools.site.check site
	@echo "Open site/index.html, or serve it: python3 -m http.server --directory site"

# Apart, for the same reason as the builder. Later versions need a package of their own for the theme; see docs/decisions/0069.
.venv/site:
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install -qq --disable-pip-version-check 'zensical>=0.0.73,<0.0.74'

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Tutelage needs Python 3.11 or newer; name one with make PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	@echo "Installing (torch is the large part; once) ..."
	$(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

# Every file that pip installs is one whose hash is written down here, but for torch, whose builds differ by machine.
install-locked:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch .venv/installed .venv/installed-dev

# The builder lives in a place of its own, since what it needs is not locked with the rest.
wheel: .venv/build
	rm -rf dist build
	.venv/build/bin/python -m build --outdir dist .

.venv/build:
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install -qq --disable-pip-version-check 'build>=1.3,<2'

# Every command that README.md and the guide's first page show, in a clone with a home and a cache of its own.
test-stranger:
	$(PYTHON) tests/stranger/run.py

# A build's label (+cpu) is left out, so that each machine takes the build that is offered to it.
lock: .venv/installed-dev .venv/lock
	$(BIN)/python -m pip freeze --all --exclude pip --exclude-editable | sed 's/+[a-z0-9.]*$$//' > constraints.txt
	.venv/lock/bin/uv pip compile constraints.txt --no-deps --generate-hashes --no-emit-package torch --no-annotate --no-header --quiet --output-file requirements.lock

# Known weaknesses of what is locked. It ends with an error where the advisories cannot be reached.
audit: .venv/lock
	.venv/lock/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements.lock

# Where exports are loaded by an older transformers; TUTELAGE_TRANSFORMERS_4 names the Python of another place.
.venv/transformers-4: | .venv/installed-dev
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install -qq --disable-pip-version-check 'torch>=2.11,<2.14' 'transformers>=4.57,<5' 'peft>=0.17,<1'

# In a place of their own, so that what they need is not locked with the rest.
.venv/lock: | .venv/installed-dev
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install -qq --disable-pip-version-check 'uv>=0.9,<1' 'pip-audit>=2.10,<3'

clean:
	rm -rf .venv runs build dist site .cache *.egg-info

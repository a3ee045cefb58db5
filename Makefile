# make run    the page on 127.0.0.1:7860          make test          everything that is checked, minutes
#                                                 make test-faults   the long form of the fault tests, beside it
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: run test test-faults lint types bench lock docs pictures results experiment clean

run: $(VENV)/.installed
	$(BIN)/python -m app $(ARGS)

# Two processes, a thread each: most tests are small, and torch's own threads would stand in each other's way.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-faults: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m faults $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.installed-dev
	$(BIN)/pyright

bench: $(VENV)/.installed
	$(BIN)/python -m core bench

lock: $(VENV)/.installed-dev
	$(BIN)/python .ci/lock.py

docs: $(VENV)/.installed-dev
	PYTHONPATH=. $(BIN)/python .ci/docs.py

# The pictures of docs/engine.md, in seconds; then the README's: trains the demo, opens the page, takes the screenshots.
pictures: $(VENV)/.installed-dev
	$(BIN)/python -m assets.engine_pictures
	$(BIN)/python -m assets.pictures

# The table of docs/results.md: trains and measures what is missing of it, in about an hour and a half; a cut is resumed.
# ARGS="--only embedded" trains one base: two such processes may run side by side. ARGS=--render only writes the page.
results: $(VENV)/.installed-dev
	$(BIN)/python -m assets.results $(ARGS)

# The experiment of docs/experiment.md, over an hour; a cut is resumed. ARGS=--render only writes the page.
experiment: $(VENV)/.installed-dev
	$(BIN)/python -m assets.experiment $(ARGS)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python requirements.lock pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis

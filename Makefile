# `make demo` and `make test` do all the set-up; they need Python 3.10 to 3.13, make, and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PYTHONS ?= python3.10 python3.11 python3.12 python3.13
VENV := .venv
BIN := $(VENV)/bin
# Python keeps what it has compiled, even where the surroundings say otherwise: each process starts in half the time.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test quick lint types layers unit docs test-pythons setup clean

help:
	@echo "make demo    train a recurrent and a memoryless agent, compare them, leave a video and a picture"
	@echo "make test    style, types, layers, tests"
	@echo "make quick   style and a few fast tests, in under a minute, for use while working"
	@echo "make test-pythons    the environments on every Python of PYTHONS: installation, simulation, tests"
	@echo "make docs    the documentation as a site, in build/site; no broken link passes"
	@echo "make setup   make $(VENV) with everything installed"

setup: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 10) else "rlmem needs Python 3.10 or later, and $(PYTHON) is %d.%d: make PYTHON=/path/to/python3.13 ..." % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup
	OMP_NUM_THREADS=1 $(BIN)/rlmem demo

test: lint types layers unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

# a few fast files of most rooms
QUICK := tests/test_files.py tests/networks/test_own_cell.py tests/networks/test_numpy_function.py \
  tests/learning/kalman/test_kalman_settings.py tests/evaluation/test_statistics.py tests/runs/test_tensors_file.py \
  tests/agents/recurrent/test_returns.py tests/agents/recurrent/test_deduplicate.py tests/envs/tasks/test_knobs.py \
  tests/benchmark/test_time_left.py tests/figures/test_learning_curves.py tests/report/test_player.py \
  tests/cli/test_play.py tests/docs/test_links.py
quick: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(QUICK)

types: setup
	$(BIN)/mypy

layers: setup
	$(BIN)/lint-imports

unit: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

docs: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	OMP_NUM_THREADS=1 NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "open build/site/index.html"

test-pythons:
	$(PYTHON) scripts/pythons.py $(PYTHONS)

clean:
	rm -rf $(VENV) .venv-pythons build *.egg-info .mypy_cache .pytest_cache .ruff_cache

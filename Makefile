# make quickstart   set up, run the embedded sweep, print its correlations
# make test         set up, lint and run all tests (what CI runs)
# make lint         ruff, the type checker, and who may import whom

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV := $(shell command -v uv 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help quickstart test test-fast lint format clean

help:
	@sed -n 's/^# //p' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
ifneq ($(UV),)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	$(UV) pip install --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
else
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
endif
	@touch $@

quickstart: $(READY)
	$(BIN)/kdsweep run sweeps/quickstart.yaml

test: lint test-fast
	$(BIN)/python -m pytest -m slow --numprocesses 2 --dist loadgroup

test-fast: $(READY)
	$(BIN)/python -m pytest -m 'not slow' --numprocesses 2

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) kdsweep-store build dist *.egg-info .import_linter_cache .mypy_cache .ruff_cache .pytest_cache .hypothesis

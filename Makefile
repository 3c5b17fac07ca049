# make quickstart   set up, run the embedded sweep, print its correlations
# make test         set up, lint and run all tests (what CI runs)
# make test-fast    the tests that do not start Ray
# make lint         ruff, the type checker, and who may import whom
# make coverage     the fast tests, with the lines that they reach
# make gpu-check    the first minutes on a GPU: are its bits right, and what does each choice give
# make floor        the fast tests with the lowest versions that are allowed
# make bench        a plain training loop beside kdsweep: hours; QUICK=1 make bench: under ten minutes; BENCH='--only group': a part
# make hooks        lint before every commit
# make format       let ruff mend what it can
# make clean        remove the environment, the store and all caches

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV := $(shell command -v uv 2>/dev/null)
# An environment that uv made has no pip.
INSTALL = $(if $(UV),$(UV) pip install --python $(BIN)/python,$(BIN)/python -m pip install) --quiet

.DEFAULT_GOAL := help
.PHONY: gpu-check help quickstart test test-fast lint coverage floor bench hooks format clean

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

coverage: $(READY)
	$(BIN)/python -m pytest -m 'not slow' --numprocesses 2 --cov --cov-report=term:skip-covered --cov-report=html

# Its own environment: the lowest versions that pyproject.toml allows, several gigabytes.
floor: $(READY)
	$(INSTALL) uv
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(VENV)-floor
	$(BIN)/uv pip install --python $(VENV)-floor/bin/python --resolution lowest-direct --editable '.[dev]'
	$(VENV)-floor/bin/python -m pytest -m 'not slow' --numprocesses 2

bench: $(READY)
	$(BIN)/python -m benchmarks.side_by_side $(if $(QUICK),--quick) $(BENCH)

# Any python that has torch: nothing is installed, and nothing of Ray is needed.
gpu-check:
	PYTHONPATH=.gpu-check $(PYTHON) -m benchmarks.gpu_check $(CHECK)

hooks: $(READY)
	$(BIN)/pre-commit install

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) $(VENV)-floor kdsweep-store htmlcov bench.json gpu-check.json .coverage* build dist *.egg-info .import_linter_cache .mypy_cache .ruff_cache .pytest_cache .hypothesis

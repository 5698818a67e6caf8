# make demo   set up everything and run the whole pipeline small, on synthetic faces
# make test   set up everything and run the tests
#
# Variables: FDSR_VENV (where the environment goes, default .venv), PYTHON (the Python
# 3.11 to create it with), PYTEST_ARGS (e.g. PYTEST_ARGS='tests/datasets -x'),
# FAULTS_ARGS (e.g. FAULTS_ARGS='--seed 1 --only fuzz').

FDSR_VENV ?= $(CURDIR)/.venv
PYTEST_ARGS ?= -n 2 --dist loadfile --no-loadscope-reorder
export FDSR_VENV

venv_python = "$(FDSR_VENV)/bin/python"
# One thread a process: tests run side by side, and toy tensors gain nothing from more.
pytest = OMP_NUM_THREADS=1 $(venv_python) -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup check demo test test-fast test-wheel faults docs lint clean

help:
	@echo 'make setup      install everything into $(FDSR_VENV)'
	@echo 'make check      report what is installed and what is missing'
	@echo 'make demo       set up, then train and test on synthetic faces'
	@echo 'make test       set up, then run all tests except those that need a GPU'
	@echo 'make test-fast  the same without the slow ones'
	@echo 'make test-wheel test the restoring wheel in an empty environment'
	@echo 'make faults     kill every tool and mutate every input, in at most 30 minutes'
	@echo 'make docs       build the pages of docs/ into site/; a broken link fails'
	@echo 'make lint       ruff'
	@echo 'make clean      remove what builds and tests leave; the environment stays'

setup:
	@./tools/setup.sh

check:
	@$(venv_python) tools/check_environment.py

demo: setup
	$(venv_python) demo/run_demo.py

test: setup
	$(pytest) -m 'not gpu' $(PYTEST_ARGS)

test-fast: setup
	$(pytest) -m 'not gpu and not slow' $(PYTEST_ARGS)

test-wheel: setup
	$(venv_python) -m nox --error-on-missing-interpreters --session restoring-3.11

faults: setup
	OMP_NUM_THREADS=1 $(venv_python) -m tests.faults $(FAULTS_ARGS)

docs: setup
	$(venv_python) -m mkdocs build --strict

lint: setup
	$(venv_python) -m ruff check fdsr tools tests configs demo benchmarks projects docs integrations setup.py noxfile.py

clean:
	rm -rf .nox build dist site fdsr.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

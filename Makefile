# Every target prepares what it needs the first time and starts at once afterwards.
# `make run ARGS="run helmholtz-m1 --steps 1000"` hands ARGS to the program, `make test ARGS="-k jets"` to pytest,
# `make bench ARGS="--threads 1"` to the benchmark. `make run PYTHON=/path/to/python3.13` chooses the Python.

.PHONY: help run test bench clean
.DEFAULT_GOAL := help

# The first of these that is there, works, and is new enough. Not asked for once the environment exists.
FIND := for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$$name"; break; }; done
TOO_OLD := PINNscope needs Python 3.11 or later, and there is none here under the names python3, python3.14, \
	python3.13, python3.12 or python3.11; install one, or name it: make run PYTHON=/path/to/python3.13

PYTHON ?= $(if $(wildcard .venv/bin/python),.venv/bin/python,$(or $(shell $(FIND)),$(error $(TOO_OLD))))
BOOTSTRAP = "$(PYTHON)" -I -S tools/bootstrap.py

help:
	@echo "make run     open PINNscope (the first time, install what it needs into .venv)"
	@echo "make test    ruff, mypy, the import rule and the tests"
	@echo "make bench   steps per second beside DeepXDE and JAX (the first time, install them into .bench-venv),"
	@echo "             and what adaptive activations cost"
	@echo "make clean   remove the environments and the caches; runs and results stay"

run:
	@$(BOOTSTRAP) run main.py $(ARGS)

test:
	@$(BOOTSTRAP) test tools/check.py $(ARGS)

bench:
	@$(BOOTSTRAP) bench
	@$(BOOTSTRAP) run tests/bench/compare.py $(ARGS)
	@$(BOOTSTRAP) run tests/bench/activation_price.py

clean:
	rm -rf .venv .bench-venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

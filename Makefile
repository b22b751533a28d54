# Everything a developer or a first user needs; `make help` lists it.
#
# Set-up happens by itself: a virtual environment in .venv, the dependencies at the versions in
# deploy/requirements*.txt, the compiled kernels. Without a C compiler the pure Python kernels run.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000

SOURCES := pyproject.toml setup.py $(wildcard _speedups/*)

# The compiler and Python's headers, without which extensions cannot be built.
CAN_BUILD := $(shell command -v $${CC:-cc} >/dev/null 2>&1 && \
	$(PYTHON) -c 'import os, sysconfig, sys; \
	sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' \
	2>/dev/null && echo yes)
ifeq ($(CAN_BUILD)$(GATEWAY_NO_EXTENSIONS),)
export GATEWAY_NO_EXTENSIONS := 1
NOTE := "No C compiler, or no Python headers, here: the pure Python kernels run (Debian: apt install gcc python3-dev)."
endif

# A pure set-up and a compiled one are two: a compiler that comes later is used.
KIND := $(if $(GATEWAY_NO_EXTENSIONS),pure,compiled)
RUN_STAMP := $(VENV)/run-$(KIND).stamp
DEV_STAMP := $(VENV)/dev-$(KIND).stamp

.DEFAULT_GOAL := help
.PHONY: help run test drill bench bench-micro bench-all bench-gates bench-baseline bench-docs stress \
	lint format type sanitize pins clean

help: ## Show what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(RUN_STAMP) ## Start a gateway, let a simulated WeChat call it, go on serving
	@$(BIN)/gateway demo --port $(PORT)

test: $(DEV_STAMP) ## Run the tests, over both kernel implementations
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

drill: $(DEV_STAMP) ## Kill and cut everything under load, for minutes; then count what was lost
	$(BIN)/python -m tests.drill --seconds 180
	$(BIN)/python -m tests.drill.push

bench: $(DEV_STAMP) bench-micro ## Measure: kernels, and side by side with others over HTTP
	$(BIN)/python -m bench.load
	$(BIN)/python -m bench.push --json bench/results/push.json
	$(BIN)/python -m bench.identity --json bench/results/identity.json
	$(BIN)/python -m bench.telemetry

bench-micro: $(DEV_STAMP) ## Measure the kernels and the whole pure path only
	$(BIN)/python -m bench.micro

bench-all: $(DEV_STAMP) bench ## Measure all that bench/README.md shows (53 minutes), and write it
	$(BIN)/python -m bench.profile
	$(BIN)/python -m bench.latency
	$(BIN)/python -m bench.startup
	$(BIN)/python -m bench.workers
	$(BIN)/python -m bench.memory
	$(BIN)/python -m bench.growth
	$(BIN)/python -m bench.stress steady
	$(BIN)/python -m bench.queue --json bench/results/queue.json --plot bench/results/queue.svg
	$(BIN)/python -m bench.render

bench-gates: $(DEV_STAMP) ## Fail where this code is slower than bench/baseline.json
	$(BIN)/python -m bench.gates

bench-baseline: $(DEV_STAMP) ## Renew that baseline: make bench-baseline REASON="..."
	$(BIN)/python -m bench.gates --renew --reason "$(REASON)"

bench-docs: $(DEV_STAMP) ## Write the documents that hold figures, from the results
	$(BIN)/python -m bench.render

stress: $(DEV_STAMP) ## Call a gateway as WeChat's users do; PROFILE=steady, spike or soak for longer
	$(BIN)/python -m bench.stress $(or $(PROFILE),smoke) $(if $(RESULTS),--results $(RESULTS))

lint: $(DEV_STAMP) ## Check style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(DEV_STAMP) ## Put the style right
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

type: $(DEV_STAMP) ## Check types
	$(BIN)/mypy

sanitize: $(DEV_STAMP) ## Test the kernels built with every warning, AddressSanitizer and UBSan
	PYTHON=$(BIN)/python bash tests/kernels/sanitize.sh

pins: ## Renew the pinned versions (needs uv)
	uv pip compile -q --universal --no-emit-index-url --no-header --python-version 3.11 \
		pyproject.toml -o deploy/requirements.txt --upgrade
	uv pip compile -q --universal --no-emit-index-url --no-header --python-version 3.11 \
		pyproject.toml --group test --group lint -c deploy/requirements.txt \
		-o deploy/requirements-dev.txt --upgrade

clean: ## Remove what was built
	rm -rf $(VENV) build dist *.egg-info gateway/kernels/*.so

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; give it as: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): $(VENV)/bin/python deploy/requirements.txt $(SOURCES)
	@[ -z $(NOTE) ] || echo $(NOTE)
	$(BIN)/python -m pip install -q --disable-pip-version-check -r deploy/requirements.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

$(DEV_STAMP): $(RUN_STAMP) deploy/requirements-dev.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -r deploy/requirements-dev.txt
	@touch $@

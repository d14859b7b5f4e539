# Two commands on a fresh clone, with python3 (3.11 or later) and nothing else:
#
#   make verify    judge every operation that is installed
#   make test      run the project's own tests
#   make test-fast those of the kernels that are generated and compiled, with Numba, which the others do without
#
# Each makes .venv when it is missing or older than pyproject.toml. Another Python: make test PYTHON=python3.13
# With uv the same: `uv run cnnframe verify`, and `uv run --extra dev pytest`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
# The version is part of the stamp's name: another PYTHON makes another environment.
RUN_STAMP := $(VENV)/.installed-$(VERSION)
DEV_STAMP := $(VENV)/.installed-dev-$(VERSION)
FAST_STAMP := $(VENV)/.installed-fast-$(VERSION)
WORKERS ?= auto

.PHONY: verify test test-fast setup lint format types ci clean

verify: $(RUN_STAMP)
	@$(BIN)/cnnframe verify

test: $(DEV_STAMP)
	@$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist loadgroup

test-fast: $(FAST_STAMP)
	@$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 tests/plugins/test_fused.py tests/plugins/test_fused_networks.py
	@$(BIN)/cnnframe verify dense@fused conv@fused conv_linked@fused conv+relu+max_pool@fused

setup: $(DEV_STAMP)

lint: $(DEV_STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(DEV_STAMP)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(DEV_STAMP)
	@$(BIN)/mypy

ci:
	@.ci/run

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(RUN_STAMP): pyproject.toml
	$(call install,.)

$(DEV_STAMP): pyproject.toml
	$(call install,'.[dev]')
	@touch $(RUN_STAMP)

$(FAST_STAMP): $(DEV_STAMP)
	$(call install,'.[dev$(comma)fast]')

comma := ,

# Python compiles what is imported; to compile all that comes with the packages takes as long as to install them.
# An environment of another Python version is made anew, since its packages are of no use to this one.
define install
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "cnnframe needs Python 3.11 or later; '$(PYTHON)' is $(or $(VERSION),not a Python that runs). Name another one: make $(or $(MAKECMDGOALS),verify) PYTHON=python3.11" >&2; exit 1; }
@test -x $(BIN)/python && $(BIN)/python -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(VERSION)")' 2>/dev/null \
	|| $(PYTHON) -m venv --clear $(VENV)
@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip --default-pip >/dev/null
@echo "installing into $(VENV)"
@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable $(1)
@touch $@
endef

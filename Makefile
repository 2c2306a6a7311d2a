# strongroom: `make demo` shows it at work, `make test` proves it. Both do all set-up themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Many processes import the same modules: each compiles them anew where none may keep them.
export PYTHONDONTWRITEBYTECODE :=
# Many tests wait for other processes: three at once keep two cores busy.
WORKERS ?= 3
STAMP := $(VENV)/installed

.PHONY: help install demo demo-stop test campaign compat check format bench clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(STAMP) ## set up the environment in .venv

$(STAMP): requirements/dev.txt pyproject.toml src/strongroom/compiled/pages.c
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo "python3 -m venv does not work here: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q src
	@touch $(STAMP)

demo: install ## protect, destroy and restore a real PostgreSQL, told as a story (KEEP=1: leave it running)
	$(BIN)/python demo/demo.py $(if $(KEEP),--keep)

demo-stop: ## stop and remove what the demo left running
	$(BIN)/python demo/demo.py --stop

test: install ## every test, on real parts
	$(BIN)/python tests/fetch_servers.py 14 15 16 17 18
	$(BIN)/python tests/fetch_azurite.py
	$(BIN)/python tests/fetch_older_sdk.py
	$(BIN)/python tests/fetch_chromium.py
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

campaign: install ## the long tests, some two hours; goes on when interrupted (SEED=18 ONLY="kills years" AGAIN=1)
	$(BIN)/python tests/fetch_servers.py 14 15 16 17 18
	@PYTHONPATH=tests $(BIN)/python -m campaign --seed $(or $(SEED),18) --jobs $(or $(JOBS),2) \
	  $(if $(AGAIN),--again) $(if $(MATCH),--match '$(MATCH)') $(ONLY)

compat: install .cache/az/installed ## Azure's own command line against a control plane of ours (heavy: 730 MB)
	$(BIN)/python -m pytest -o python_files='compat_*.py' tests/compat

.cache/az/installed: requirements/az.txt
	@test -x .cache/az/bin/python || $(PYTHON) -m venv .cache/az
	.cache/az/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/az.txt
	@touch $@

check: install ## lint, format, types, walls
	$(BIN)/ruff check src tests bench
	$(BIN)/ruff format --check src tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## put the code into its form
	$(BIN)/ruff check --fix src tests bench
	$(BIN)/ruff format src tests bench

bench: install ## measure, and write bench/RESULTS.md (ONLY="restore logical": those; GB=0.3: smaller)
	$(BIN)/python tests/fetch_servers.py 15 18
	PYTHONPATH=tests $(BIN)/python -m bench $(ONLY) $(GB)

clean: ## remove what was installed here
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

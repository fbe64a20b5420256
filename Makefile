# Every target is idempotent. `make` alone lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help setup-run setup demo demo-clean check format test test-containers secrets bench chaos docs screenshots lock

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup-run: ## Install what the demo needs: Orthanc, dcmtk, a virtual environment
	@./demo/install.sh run

setup: ## Install that, and what tests and checks need
	@./demo/install.sh dev

demo: export DEMO_STARTED := $(or $(DEMO_STARTED),$(shell date +%s.%N))
demo: setup-run ## Run the whole platform on this machine until Ctrl-C (DEMO_EXIT=1: until all is searchable)
	@exec $(BIN)/python -m demo

demo-clean: ## Stop what a demo left behind and remove its state
	@[ ! -d .demo ] || [ ! -x $(BIN)/python ] || $(BIN)/python -m demo.clean
	@rm -rf .demo

check: setup ## Format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup ## Put the code into the form that check asks for
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: setup ## Run every test, with real servers
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadgroup

test-containers: setup ## Build the images, run docker-compose.yml and try it (CONTAINERS=smoke: within five minutes)
	@./tests/containers/run.sh

secrets: ## Make the secrets of docker-compose.yml (as root: each file belongs to the user of one service)
	@./containers/secrets.sh

docs: setup ## Renew the pages of the manual that are made from the code
	$(BIN)/python doc/environment_variables.py
	$(BIN)/python doc/rules_reference.py
	$(BIN)/python doc/aws_costs.py

bench: setup ## Run the short form of every benchmark; each tells which of its goals fall short
	@status=0; for file in $$(grep -l "sys.exit(main())" bench/*.py); do echo "== $$file"; $(BIN)/python $$file --quick || status=1; done; exit $$status

chaos: setup ## Kill processes and restart servers at random while 3,000 instances arrive; nothing may be lost
	CHAOS=full $(BIN)/python -m pytest -n 0 -s tests/system/test_chaos.py tests/website/exports/test_kills.py

screenshots: setup ## Take the manual's pictures of the running platform
	$(BIN)/python image/screenshots.py

lock: setup ## Renew the lock files from pyproject.toml
	@./requirements/lock.sh

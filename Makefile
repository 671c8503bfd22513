# `make help` lists what there is. Every target sets up what it needs; `make setup` alone only
# sets up. Nothing is installed outside this folder, but for Debian packages where root asks.

PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help

.PHONY: help setup browser senders run test lint types format bench bench-quick integration-docs faults faults-full peers lock pictures clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: .venv/complete ## make .venv with everything pinned in requirements.lock

.venv/complete: requirements.lock pyproject.toml scripts/make_venv.sh
	@PYTHON="$(PYTHON)" sh scripts/make_venv.sh
	@touch $@

browser: ## make sure there is a Chromium for the browser tests, where we may
	@sh scripts/ensure_debian.sh chromium chromium

senders: ## make sure there are Alertmanager, monit and Nagios for their test, where we may
	@sh scripts/real_senders.sh

run: setup ## start the demo: a fictional utility, its customers, a signed-in link
	@$(BIN)/notifier demo

test: setup browser senders lint types ## check style and types, then run all tests
	@$(BIN)/python -m pytest -n 2 --dist worksteal -rs

lint: setup ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup ## mypy --strict
	@$(BIN)/mypy

format: setup ## let ruff put the code into shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

peers: setup senders ## install what the benchmark compares with: nodemailer, wrk, nginx, postfix's tools
	@sh scripts/bench_peers.sh

bench: peers ## speed, as ratios to peers in the same run (BENCH_JSON=FILE writes them there)
	@$(BIN)/python -m tests.bench

bench-quick: peers ## the same with smaller numbers, in at most a minute
	@$(BIN)/python -m tests.bench --quick

integration-docs: setup ## write docs/integrations anew from the sources
	@$(BIN)/python -m tests.integration_docs

faults: setup ## break it in every way this machine can; the referee's log judges (FAULTS_JSON=FILE)
	@$(BIN)/python -m tests.faults

faults-full: setup ## the full sweep, for a night
	@$(BIN)/python -m tests.faults --full
	@$(BIN)/python -m tests.faults.machine --games 3000 --steps 50

pictures: setup browser ## make the README's pictures anew, of this version
	@$(BIN)/python -m tests.pictures

lock: setup ## pin the newest versions that pyproject.toml allows
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url --all-extras --group dev --upgrade \
		pyproject.toml -o requirements.lock

clean: ## remove what the other targets made
	@rm -rf .venv node_modules build/senders .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Each command sets this machine up by itself, says what it installs before it does, and needs no terminal.
PYTHON := .dev/venv/bin/python
LOCKTOOLS := .dev/locktools
COMPILE := $(LOCKTOOLS)/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --resolver=backtracking \
	--no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

.DEFAULT_GOAL := help
.PHONY: help run test load chaos crashes attacks fuzz audit image-check bench-commands bench-costs bench-reconnect lint fmt docs lock clean

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 25

run: ## the whole system on this machine, with simulated charge points (ARGS="--charge-points 50")
	@tools/bootstrap.sh run
	@$(PYTHON) -m tools.showcase $(ARGS)

test: ## every check and every test, with the time each took (ARGS='-k word' goes to pytest)
	@tools/bootstrap.sh test
	@tools/gate.sh $(ARGS)

load: ## a load scenario on a system of its own (ARGS="steady --charge-points 1000 --rate 2000", "storm --help")
	@tools/bootstrap.sh test
	@$(PYTHON) -m tools.load $(ARGS)

chaos: ## 5,000 commands to 500 erratic charge points while gateways, workers and the broker are killed
	@tools/bootstrap.sh test
	@CHAOS_COMMANDS=5000 CHAOS_CHARGE_POINTS=500 CHAOS_PAUSE_SECONDS=12 $(PYTHON) -m pytest -q -s tests/system/test_command_chaos.py $(ARGS)

attacks: ## every attack in full on a gateway with 2,000 honest charge points at work (ARGS="--only flood", "--list")
	@tools/bootstrap.sh test
	@$(PYTHON) -m tools.attacks $(ARGS)

fuzz: ## hostile bytes for every parser, guided by coverage (ARGS="60" seconds for each; names choose some)
	@tools/bootstrap.sh run
	@$(PYTHON) -m tools.fuzz $(ARGS)

audit: ## known vulnerabilities of the locked packages; exit code 1 when there are some, 3 when nobody could say
	@tools/bootstrap.sh run
	@$(PYTHON) -m tools.audit $(ARGS)

crashes: ## broker, database and workers are killed while 240 charge points charge
	@tools/bootstrap.sh test
	@CRASH_CHARGE_POINTS=240 $(PYTHON) -m pytest -q tests/system/test_crashes.py $(ARGS)

image-check: ## the image, built and tried without a container engine (ARGS="--clean" keeps nothing)
	@tools/bootstrap.sh run
	@$(PYTHON) -m tools.image $(ARGS)

bench-commands: ## what a direct command costs beyond the broker's own hops (ARGS="--count 2000")
	@tools/bootstrap.sh run
	@$(PYTHON) -m tools.bench.command_overhead $(ARGS)

bench-costs: ## what one of everything costs each part, for the calculator (ARGS="--sockets 300 --rounds 20")
	@tools/bootstrap.sh test
	@$(PYTHON) -m tools.bench.costs $(ARGS)

bench-reconnect: ## 10,000 sessions of a killed gateway come back at once (ARGS="--count 2000")
	@tools/bootstrap.sh run
	@$(PYTHON) -m tools.bench.reconnect $(ARGS)

lint: ## the checks without the tests
	@tools/bootstrap.sh run
	@tools/gate.sh --lint-only

fmt: ## put the source into the house's format
	@tools/bootstrap.sh run
	@.dev/venv/bin/ruff check --fix --quiet . || true
	@.dev/venv/bin/ruff format .

docs: ## renew the pages, dashboards and parts of the chart that are made from the code
	@tools/bootstrap.sh test
	@$(PYTHON) -m tools.settings_page
	@$(PYTHON) -m tools.observing_page
	@$(PYTHON) -m tools.asyncapi_page
	@$(PYTHON) -m tools.backend_page
	@$(PYTHON) -m tools.capacity_page
	@$(PYTHON) -m tools.dashboards
	@$(PYTHON) -m tools.chart

lock: $(LOCKTOOLS)/bin/pip-compile ## renew requirements.lock and requirements-dev.lock (UPGRADE=--upgrade for newer versions)
	@$(COMPILE) $(UPGRADE) --output-file=requirements.lock pyproject.toml
	@$(COMPILE) $(UPGRADE) --extra=dev --output-file=requirements-dev.lock pyproject.toml

$(LOCKTOOLS)/bin/pip-compile:
	@tools/bootstrap.sh run
	@echo "installing pip-tools into $(LOCKTOOLS)"
	@$(PYTHON) -m venv $(LOCKTOOLS)
	@$(LOCKTOOLS)/bin/python -m pip install --quiet --no-input --disable-pip-version-check pip-tools

clean: ## remove .dev: the virtual environment, the nodes' data, the logs
	@rm -rf .dev .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

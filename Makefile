# Every target does its own set-up: git, make and Python >= 3.11 are enough.
SHELL := /bin/bash
.DEFAULT_GOAL := help
UV := .tools/uv/bin/uv
READY := .venv/.synced
RUN := .venv/bin
# one source, two packages that may not import each other; a test holds the copies equal
SHARED := $(addprefix service/src/payment_service/observability/,card_numbers.py mail_in_text.py printable.py redaction.py secret_patterns.py uncaught.py)
# tests start hundreds of Python processes: without the cache each of them would compile all that it imports
unexport PYTHONDONTWRITEBYTECODE
# further tiers join by `TIERS += …` in their own file under tests/
TIERS := unit integration contract

-include tests/*/*.mk

.PHONY: help
help: ## Show the targets
	@awk -F':.*## ' '/^[a-zA-Z_-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(UV):
	@./scripts/bootstrap

$(READY): $(UV) uv.lock pyproject.toml service/pyproject.toml simulator/pyproject.toml operator/pyproject.toml
	@$(UV) sync --quiet --locked --all-packages
	@touch $@

.PHONY: setup
setup: $(READY) ## Install everything that the other targets need (they call it themselves)

.PHONY: demo
demo: $(READY) ## Run API, worker and Stripe simulator, create a subscription, serve (ONCE=1: exit after it; PORT=8000)
	@$(RUN)/payments demo --body tests/data/subscription.json $(if $(ONCE),--once)

.PHONY: format
format: $(READY) ## Format the code and apply safe fixes
	@$(RUN)/ruff format
	@$(RUN)/ruff check --fix

.PHONY: check
check: $(READY) ## Format, lint, types, import contracts, unit tests (under a minute)
	@$(MAKE) --no-print-directory --output-sync=target -j2 types unit lint

.PHONY: check-fast
check-fast: $(READY) ## The same for what changed: the unit tests that run through it (seconds; its first run learns for minutes)
	@$(MAKE) --no-print-directory --output-sync=target -j2 types lint
	@HYPOTHESIS_PROFILE=few $(RUN)/pytest -q --testmon tests/unit || test $$? = 5 # no test runs through it

.PHONY: lint types unit
lint: $(READY)
	@$(RUN)/ruff format --check --quiet
	@$(RUN)/ruff check --quiet
	@$(RUN)/lint-imports --no-logo > .import-linter.log || (cat .import-linter.log; exit 1)

types: $(READY)
	@$(RUN)/mypy

unit: $(READY) # few examples of each property: `make test` tries them all
	@HYPOTHESIS_PROFILE=few $(RUN)/pytest -q --numprocesses 2 tests/unit

.PHONY: test
test: $(READY) ## All tests whose parts are at hand; what is skipped is listed with the command that enables it
	@$(MAKE) --no-print-directory test-local
	@$(MAKE) --no-print-directory test-cluster

.PHONY: test-local
test-local: $(READY) ## The checks and every tier but the cluster's
	@./scripts/packages
	@$(MAKE) --no-print-directory --output-sync=target -j2 lint types
	@$(RUN)/python -m tests.ci.alone --numprocesses 3 $(addprefix tests/,$(TIERS))

.PHONY: coverage
coverage: $(READY) ## Which lines the tiers without the cluster reach; half as slow again
	@$(RUN)/pytest --numprocesses 2 --cov --cov-report=term:skip-covered $(addprefix tests/,$(TIERS))

.PHONY: test-cluster
test-cluster: $(READY) ## The tests on a real Kubernetes, once `make cluster-tools` has built it; one at a time, they own the machine
	@$(RUN)/python -m tests.ci.alone -q -p no:randomly $(OPTIONS) tests/cluster

.PHONY: openapi
openapi: $(READY) ## Write docs/openapi.json anew after a change of the API
	@$(RUN)/python -m tests.contract.openapi_document > docs/openapi.json

.PHONY: audit audit-go
audit: $(READY) audit-go ## Look for known faults in what is locked: Python's packages, and the Go programs of the test cluster
	@mkdir -p .cache
	@$(UV) export --quiet --locked --all-packages --no-emit-workspace --format requirements-txt > .cache/audit.txt
	@$(UV) tool run --from 'pip-audit==2.10.1' pip-audit --disable-pip --require-hashes --strict --requirement .cache/audit.txt

audit-go: $(READY) # findings do not fail it: the programs serve the tests alone, see docs/supply-chain.md
	@$(RUN)/python -m tests.cluster.node.audit

.PHONY: plugin
plugin: $(READY) ## Build dist/kubectl-payments: one file that needs only Python 3.11 and kubectl
	@$(RUN)/python operator/packaging/single_file.py dist

.PHONY: operator-reference
operator-reference: $(READY) ## Write the CRD and docs/reference anew after a change of the operator's types
	@for kind in paymentenvironments environmentrequests; do \
	  $(RUN)/payment-operator crd --kind $$kind > chart/crds/$$kind.payments.leanconstruction.io.yaml; done
	@$(RUN)/python operator/packaging/reference.py

.PHONY: shared
shared: ## Copy what the service and the operator share into the operator, after a change of it
	@cp $(SHARED) operator/src/payment_operator/

.PHONY: clean
clean: ## Remove the environment, caches and the demo's state
	@rm -rf .venv .tools .cache .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* .testmondata*

# Every target does its own set-up: git, make and Python >= 3.11 are enough.
SHELL := /bin/bash
.DEFAULT_GOAL := help
UV := .tools/uv/bin/uv
READY := .venv/.synced
RUN := .venv/bin
# further tiers join by `TIERS += …` in their own file under tests/
TIERS := unit integration contract

-include tests/*/*.mk

.PHONY: help
help: ## Show the targets
	@awk -F':.*## ' '/^[a-zA-Z_-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(UV):
	@./scripts/bootstrap

$(READY): $(UV) uv.lock pyproject.toml service/pyproject.toml operator/pyproject.toml
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
	@$(RUN)/ruff format --check --quiet
	@$(RUN)/ruff check --quiet
	@$(RUN)/mypy
	@$(RUN)/lint-imports --no-logo > .import-linter.log || (cat .import-linter.log; exit 1)
	@$(RUN)/pytest -q tests/unit

.PHONY: test
test: check ## All tests whose parts are at hand; what is skipped is listed with the command that enables it
	@$(RUN)/pytest --numprocesses 2 --cov --cov-report=term:skip-covered $(addprefix tests/,$(TIERS))
	@$(MAKE) --no-print-directory test-cluster

.PHONY: test-cluster
test-cluster: $(READY) ## The tests on a real Kubernetes, once `make cluster-tools` has built it; one at a time, they own the machine
	@$(RUN)/pytest -q -p no:randomly tests/cluster

.PHONY: openapi
openapi: $(READY) ## Write docs/openapi.json anew after a change of the API
	@$(RUN)/python -m tests.contract.openapi_document > docs/openapi.json

.PHONY: plugin
plugin: $(READY) ## Build dist/kubectl-payments: one file that needs only Python 3.11 and kubectl
	@$(RUN)/python operator/packaging/single_file.py dist

.PHONY: operator-reference
operator-reference: $(READY) ## Write the CRD and docs/reference anew after a change of the operator's types
	@$(RUN)/payment-operator crd > chart/crds/paymentenvironments.payments.leanconstruction.io.yaml
	@$(RUN)/python operator/packaging/reference.py

.PHONY: clean
clean: ## Remove the environment, caches and the demo's state
	@rm -rf .venv .tools .cache .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*

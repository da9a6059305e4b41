SHELL := /bin/bash
.DEFAULT_GOAL := help
UV := .tools/uv/bin/uv

.PHONY: help
help: ## Show the targets
	@awk -F':.*## ' '/^[a-zA-Z_-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(UV):
	@python3 -m venv .tools/uv && .tools/uv/bin/pip --quiet install 'uv>=0.13'

.venv/.synced: $(UV) uv.lock pyproject.toml service/pyproject.toml operator/pyproject.toml
	@$(UV) sync --quiet --locked --all-packages && touch $@

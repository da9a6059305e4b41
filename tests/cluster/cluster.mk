# A real Kubernetes on this machine, for tests and for people (docs/cluster.md).
NODE := .venv/bin/python -m tests.cluster.node

.PHONY: cluster-tools cluster-up cluster-down cluster-status
cluster-tools: .venv/.synced ## Build the test cluster's programs, once (about 25 min from nothing)
	@$(NODE) tools

cluster-up: .venv/.synced ## Boot a one-node Kubernetes here; prints its KUBECONFIG
	@$(NODE) up

cluster-down: .venv/.synced ## Remove that Kubernetes without a trace
	@$(NODE) down

cluster-status: .venv/.synced ## Show that Kubernetes' processes and pods
	@$(NODE) status

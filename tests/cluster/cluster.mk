# A real Kubernetes on this machine, for tests and for people (docs/cluster.md).
NODE := $(RUN)/python -m tests.cluster.node

.PHONY: cluster-tools cluster-up cluster-down cluster-status
cluster-tools: $(READY) ## Build the test cluster's programs, once (about 25 min from nothing; PROGRAMS="core checkers": these first)
	@$(NODE) tools $(PROGRAMS)

cluster-up: $(READY) ## Boot a one-node Kubernetes here; prints its KUBECONFIG
	@$(NODE) up

cluster-down: $(READY) ## Remove that Kubernetes without a trace
	@$(NODE) down

cluster-status: $(READY) ## Show that Kubernetes' processes and pods
	@$(NODE) status

.PHONY: cluster-addons
cluster-addons: $(READY) ## Add metrics, prometheus-operator, NetworkPolicies and an ingress controller to it
	@$(NODE) addons

.PHONY: images image-as
image-as: $(READY) # for skaffold.yaml: SHORT=postgresql NAME=localhost/postgresql:dev
	@$(RUN)/python -m tests.cluster.images --as "$(NAME)" "$(SHORT)"

images: $(READY) ## Build the images of service, operator and the tests' servers, load them into the running cluster
	@$(RUN)/python -m tests.cluster.images

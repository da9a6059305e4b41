.PHONY: soak-operator
soak-operator: $(READY) ## Run the operator's long proofs whole: a kill at every write of a release (goes on where it stopped)
	@SOAK=1 $(RUN)/pytest -q -p no:randomly tests/cluster/operator

.PHONY: soak-operator
soak-operator: $(READY) ## Run the operator's long proofs whole: ten releases under load, every bad release, a kill at every write (goes on where it stopped)
	@SOAK=1 $(RUN)/pytest -q -p no:randomly tests/cluster/operator

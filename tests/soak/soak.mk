# What takes long: crash matrices and storms, whole (docs/reliability.md). A sample of each runs with the tests.
TIERS += soak

.PHONY: soak
soak: $(READY) ## Run the long proofs whole, resumable (SHARD=1/4, ONLY=histories, storm, deliveries, feed, redaction, slow, changes, hostile, mariadb or crash; goes on where it stopped, AGAIN=1: from the start)
	@$(RUN)/python -m tests.soak $(if $(ONLY),--only $(ONLY)) $(if $(SHARD),--shard $(SHARD)) $(if $(AGAIN),--again)

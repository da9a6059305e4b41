# Speed, measured beside the alternatives (docs/performance.md).
.PHONY: bench
bench: $(READY) ## Measure speed beside the alternatives, ≤ 25 min (ONLY=webhooks,health … ROUNDS=5)
	@$(RUN)/python -m tests.bench $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(PACE),--pace $(PACE))

.PHONY: bench-smoke
bench-smoke: $(READY) ## Catch a hot path that has become half as fast, ≤ 2 min
	@$(RUN)/python -m tests.bench.smoke

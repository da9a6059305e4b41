TIERS += chart

.PHONY: chart-reference
chart-reference: $(READY) ## Write the chart's schema and README anew after a change of values.yaml
	@$(RUN)/python -m tests.chart.reference

.PHONY: chart-package
chart-package: $(READY) ## Package the chart into dist/ (publish with: helm push dist/… oci://…)
	@mkdir -p dist && $$($(RUN)/python -c 'from tests.chart.tools import helm; print(helm())') package chart --destination dist

soak: $(if $(ONLY),,soak-chart) # a proof that is named runs alone
.PHONY: soak-chart
soak-chart: $(READY) ## The chart's tests on real pods, whole: 20 000 requests around each upgrade, autoscaling, alerts, outages
	@SOAK=1 $(RUN)/pytest -q -p no:randomly tests/cluster/chart

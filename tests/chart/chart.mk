TIERS += chart

.PHONY: chart-reference
chart-reference: $(READY) ## Write the chart's schema and README anew after a change of values.yaml
	@$(RUN)/python -m tests.chart.reference

.PHONY: chart-package
chart-package: $(READY) ## Package the chart into dist/ (publish with: helm push dist/… oci://…)
	@mkdir -p dist && $$($(RUN)/python -c 'from tests.chart.tools import helm; print(helm())') package chart --destination dist

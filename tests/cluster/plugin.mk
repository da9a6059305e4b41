.PHONY: soak-plugin
soak-plugin: $(READY) ## Use kubectl payments and the chart's operator mode on real releases (about ten minutes)
	@SOAK=1 $(RUN)/pytest -q -p no:randomly tests/cluster/plugin

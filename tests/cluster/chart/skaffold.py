"""The release that skaffold.yaml describes, with the images built here in place of those that skaffold builds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml
from tests.cluster.chart.release import CHART, Release, merged

ROOT = CHART.parent
_TEMPLATE = re.compile(r"\{\{\.IMAGE_(REPO|TAG)_localhost_payments_([a-z]+)\}\}")


def configuration() -> dict[str, Any]:
    """Return skaffold's second configuration, that of the chart."""
    return dict(list(yaml.safe_load_all((ROOT / "skaffold.yaml").read_text()))[1])


def described() -> dict[str, Any]:
    """Return the one Helm release in it."""
    (found,) = configuration()["deploy"]["helm"]["releases"]
    assert ROOT / found["chartPath"] == CHART
    return dict(found)


@dataclass
class SkaffoldRelease(Release):
    """The chart on the servers of k8s/dev."""

    name: str = "payments"

    def base_values(self) -> dict[str, Any]:
        """Return skaffold's values, with the images that were built."""
        release, values = described(), dict[str, Any]()
        for path in release["valuesFiles"]:
            values = merged(values, yaml.safe_load((ROOT / path).read_text()))
        for name, template in release["setValueTemplates"].items():
            values = merged(values, _nested(name, self._image(template)))
        return values

    def _image(self, template: str) -> str:
        part, short = _TEMPLATE.fullmatch(template).groups()  # type: ignore[union-attr]
        repository, _, tag = self.namespace.images[short].rpartition(":")
        return repository if part == "REPO" else tag

    def prepare(self) -> None:
        """Make the Secret that skaffold applies with the servers."""
        assert described()["name"] == self.name
        self.namespace.kubectl("apply", "-f", str(ROOT / "k8s/kind/secret.yaml"))


def _nested(dotted: str, value: str) -> dict[str, Any]:
    first, _, rest = dotted.partition(".")
    return {first: _nested(rest, value) if rest else value}

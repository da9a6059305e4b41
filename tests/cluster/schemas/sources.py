"""Where the schemas come from: Kubernetes' own releases and the CRDs of others, as pinned Go modules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.node import modules
from tests.cluster.node.modules import Module

CHART: Final = Path(__file__).parents[3] / "chart"


@dataclass(frozen=True)
class Source:
    """The folder or file of a module that is read."""

    module: Module
    path: str

    def fetch(self) -> Path:
        """Return where it lies; see `modules.fetch`."""
        return modules.fetch(self.module) / self.path


_KUBERNETES = "api/openapi-spec/swagger.json"
# The oldest that the chart takes (Chart.yaml, kubeVersion), two between, and the one that the tests boot.
KUBERNETES: Final = tuple(
    Source(Module("k8s.io/kubernetes", version, digest), _KUBERNETES)
    for version, digest in (
        ("v1.30.14", "h1:MrlKXh9uhLIJpyxOeXhcndzRVSvwiV9iJ8NgH8nqPsg="),
        ("v1.33.13", "h1:bmH31xUdSzeA5vk0wZAK9MZp11mdLuzUSeKk0qN3hPQ="),
        ("v1.35.4", "h1:o/8dBC/pHVpYoGV4OAIytAlNPZbdYVTXJHoYvXC4qzM="),
        ("v1.37.2", "h1:A2VDEiObzkYqFTKhSsn0ZEb0RlLEXpHWj93gi2HqEwE="),
    )
)
PROMETHEUS_OPERATOR: Final = Source(
    Module(
        "github.com/prometheus-operator/prometheus-operator",
        "v0.88.0",
        "h1:3T/dCQdk7CUVRqVfwRHoC5g66fC/ML6XQQLtQVL6Q5o=",
    ),
    "example/prometheus-operator-crd",
)
CERT_MANAGER: Final = Source(
    Module("github.com/cert-manager/cert-manager", "v1.21.2", "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68="),
    "deploy/crds",
)
DEFINITIONS: Final = (
    PROMETHEUS_OPERATOR,
    Source(
        Module(
            "github.com/cloudnative-pg/cloudnative-pg", "v1.30.0", "h1:fnhVq44xXx97MNiuvJsPrX1vSjYbgdyBK5MSGfdHdp0="
        ),
        "config/crd/bases",
    ),
    Source(
        Module(
            "github.com/cloudnative-pg/plugin-barman-cloud",
            "v0.15.0",
            "h1:gNVytrzzYUE08wxLDrjfJqy1FPPSFkMe1OEr4s4pVI0=",
        ),
        "config/crd/bases",
    ),
    CERT_MANAGER,
    Source(
        Module(
            "github.com/external-secrets/external-secrets", "v1.3.2", "h1:u2J8RjlHIeF0oZCqtl92adI/uZWUwOesJIDkfql6LqQ="
        ),
        "config/crds/bases",
    ),
    Source(
        Module("github.com/kedacore/keda/v2", "v2.21.0", "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps="),
        "config/crd/bases",
    ),
    Source(
        Module("sigs.k8s.io/gateway-api", "v1.6.3", "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc="),
        "config/crd/standard",
    ),
)

"""Services: the one that traffic comes through, the candidate's, and the metrics'."""

from typing import Any

import msgspec

from payment_operator import names
from payment_operator.api.environment import Environment
from payment_operator.resources.metadata import Manifest, Owner
from payment_operator.resources.pods import ADMIN_PORT


class Cutover(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The commit record of a switch, an annotation of the Service."""

    to: str
    source: str = msgspec.field(default="", name="from")
    at: str = ""
    overlap: bool = False
    """The selector names both revisions for a while."""
    adopted: bool = False
    """Somebody else moved the selector, and that was taken over."""
    restored: str = ""
    """When the operator last put the selector back."""

    def selector(self, owner: Owner) -> dict[str, str]:
        """The Service's selector as this record has it."""
        return owner.selector(names.API, "" if self.overlap else self.to)

    def encode(self) -> str:
        """The annotation's text."""
        return msgspec.json.encode(self).decode()


def api_service(owner: Owner, spec: Environment) -> Manifest:
    """The Service of the API without its selector, which only tested patches write."""
    metadata: dict[str, Any] = {"name": names.api_service(owner.name), "labels": owner.labels(names.API)}
    if spec.service.annotations:
        metadata["annotations"] = dict(spec.service.annotations)
    ports = [{"name": "http", "port": spec.service.port, "protocol": "TCP", "targetPort": "http"}]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
    return owner.owned(service | {"spec": {"type": spec.service.type, "ports": ports} | _families(spec)})


def _families(spec: Environment) -> dict[str, Any]:
    """The kinds of addresses; the API server adds a second family where the policy asks for one."""
    asked = {"ipFamilyPolicy": spec.service.ip_family_policy, "ipFamilies": list(spec.service.ip_families)}
    return {name: value for name, value in asked.items() if value}


def new_api_service(owner: Owner, spec: Environment, *, cutover: Cutover) -> Manifest:
    """The Service as it is created: with selector and commit record."""
    service = api_service(owner, spec)
    annotations = service["metadata"].get("annotations", {}) | {names.ANNOTATION_CUTOVER: cutover.encode()}
    service["metadata"] |= {"annotations": annotations}
    service["spec"]["selector"] = cutover.selector(owner)
    return service


def preview_service(owner: Owner, spec: Environment, *, revision: str) -> Manifest:
    """The Service of one revision's API pods."""
    ports = [{"name": "http", "port": spec.service.port, "protocol": "TCP", "targetPort": "http"}]
    return owner.owned(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": names.preview_service(owner.name), "labels": owner.labels(names.API)},
            "spec": {"type": "ClusterIP", "ports": ports, "selector": owner.selector(names.API, revision)}
            | _families(spec),
        }
    )


def metrics_service(owner: Owner, spec: Environment) -> Manifest:
    """The headless Service over the admin ports of API and worker, ready or not."""
    ports = [{"name": "admin", "port": ADMIN_PORT, "protocol": "TCP", "targetPort": "admin"}]
    return owner.owned(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": names.metrics_service(owner.name), "labels": owner.labels()},
            "spec": {
                "clusterIP": "None",
                "publishNotReadyAddresses": True,
                "ports": ports,
                "selector": {names.LABEL_ENVIRONMENT: owner.name, names.LABEL_MANAGED_BY: names.MANAGER},
            }
            | _families(spec),
        }
    )

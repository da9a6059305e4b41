"""Reads an environment and everything that belongs to it: three calls of kubectl."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from payment_operator import names
from payment_operator.plugin import clock
from payment_operator.plugin.complaints import REQUESTS, RESOURCE
from payment_operator.plugin.errors import NotFound, PluginError, WrongUsage
from payment_operator.plugin.kubectl import Kubectl, Object

OWNED: Final = (
    "pods",
    "jobs.batch",
    "deployments.apps",
    "services",
    "controllerrevisions.apps",
    "horizontalpodautoscalers.autoscaling",
)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The objects of one environment at one moment."""

    environment: Object
    at: datetime
    owned: list[Object] = field(default_factory=list)
    hidden: list[PluginError] = field(default_factory=list)

    def of_kind(self, kind: str) -> list[Object]:
        """Return the owned objects of this kind, oldest first."""
        found = [owned for owned in self.owned if owned["kind"] == kind]
        return sorted(found, key=lambda owned: str(owned["metadata"].get("creationTimestamp") or ""))


def environment_named(kubectl: Kubectl, name: str | None) -> Object:
    """Return the environment of this name, or the only one in the namespace.

    Raises:
        WrongUsage: no name is given and there are several.
        NotFound: there is none.
    """
    if name:
        try:
            return kubectl.get(RESOURCE, name)
        except NotFound as error:
            raise NotFound(str(error), fix=error.fix or _others(kubectl)) from error
    items: list[Object] = kubectl.get(RESOURCE)["items"]
    if len(items) == 1:
        return items[0]
    if not items:
        raise NotFound(f"namespace {kubectl.namespace()} has no PaymentEnvironment", fix=_elsewhere(kubectl))
    found = ", ".join(sorted(item["metadata"]["name"] for item in items))
    raise WrongUsage(
        f"namespace {items[0]['metadata']['namespace']} has {len(items)} PaymentEnvironments: {found}",
        fix="name the one that you mean: kubectl payments VERB NAME",
    )


def _others(kubectl: Kubectl) -> str:
    items, _ = kubectl.get_what_is_allowed(RESOURCE)
    found = ", ".join(sorted(item["metadata"]["name"] for item in items))
    return f"this namespace has: {found}" if found else _elsewhere(kubectl)


def _elsewhere(kubectl: Kubectl) -> str:
    items, _ = kubectl.get_what_is_allowed(RESOURCE, "--all-namespaces")
    found = sorted(f"kubectl payments status {_name(item)} -n {item['metadata']['namespace']}" for item in items)
    if found:
        return "other namespaces have some:\n" + "\n".join(f"  {line}" for line in found[:10])
    return "make one: kubectl apply -f k8s/samples/minimal.yaml"


def _name(item: Object) -> str:
    return str(item["metadata"]["name"])


def observe(kubectl: Kubectl, name: str | None) -> Observed:
    """Return the environment and what it owns, as far as the user may see it."""
    environment = environment_named(kubectl, name)
    metadata = environment["metadata"]
    selector = f"--selector={names.LABEL_ENVIRONMENT}={metadata['name']}"
    place = f"--namespace={metadata['namespace']}"
    owned, hidden = kubectl.get_what_is_allowed(",".join(OWNED), selector, place)
    asked, unseen = kubectl.get_what_is_allowed(REQUESTS, place)  # those that are not answered yet have no label
    owned += [item for item in asked if item["spec"]["environment"] == metadata["name"]]
    return Observed(environment=environment, at=clock.now(), owned=owned, hidden=[*hidden, *unseen])

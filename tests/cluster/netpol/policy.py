"""What NetworkPolicies allow: pods, namespaces and policies → who may reach whom on which ports. Pure.

Follows the API's own description (networking.k8s.io/v1). Where it leaves the choice to the implementation: open
connections survive a new policy, traffic of the node is always let in, an isolated pod is sent no ICMP, and pods in the
node's network are neither selected nor peers.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Direction = Literal["ingress", "egress"]
Labels = dict[str, str]


@dataclass(frozen=True)
class Pod:
    """A running pod with an address of its own."""

    namespace: str
    name: str
    address: str
    labels: Mapping[str, str]
    ports: Mapping[tuple[str, str], int]
    """Number by protocol and name."""


@dataclass(frozen=True)
class Block:
    """A range of addresses with holes."""

    cidr: str
    holes: tuple[str, ...] = ()

    def holds(self, address: str) -> bool:
        """Tell whether an address lies in the range and in none of its holes."""
        asked = ipaddress.ip_address(address)
        return asked in ipaddress.ip_network(self.cidr) and not any(
            asked in ipaddress.ip_network(hole) for hole in self.holes
        )


@dataclass(frozen=True)
class Ports:
    """A protocol's ports; all of them when `first` is None."""

    protocol: str
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True)
class Allowed:
    """One hole in an isolation: these peers on these ports. None stands for all."""

    peers: frozenset[str] | Block | None
    ports: frozenset[Ports] | None


Isolation = dict[str, list[Allowed]]
"""What is allowed, by the address of each isolated pod."""


def pods(objects: Iterable[Mapping[str, Any]]) -> list[Pod]:
    """Return the pods that policies are about."""
    return [
        Pod(
            item["metadata"]["namespace"],
            item["metadata"]["name"],
            item["status"]["podIP"],
            item["metadata"].get("labels") or {},
            {
                (port.get("protocol", "TCP"), port["name"]): port["containerPort"]
                for container in item["spec"].get("containers", ())
                for port in container.get("ports") or ()
                if port.get("name")
            },
        )
        for item in objects
        if item.get("status", {}).get("podIP")
        and item["status"].get("phase") not in {"Succeeded", "Failed"}  # the address may be another pod's by now
        and not item["spec"].get("hostNetwork")
    ]


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector matches; the empty one matches everything."""
    wanted = selector.get("matchLabels") or {}
    expressions = selector.get("matchExpressions") or ()
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(expression, labels) for expression in expressions
    )


def _types(spec: Mapping[str, Any]) -> set[str]:
    if spec.get("policyTypes"):
        return {kind.lower() for kind in spec["policyTypes"]}
    return {"ingress", "egress"} if spec.get("egress") else {"ingress"}


def _peers(
    peer: Mapping[str, Any], *, own: str, everyone: Iterable[Pod], namespaces: Mapping[str, Labels]
) -> list[Pod]:
    within = peer.get("namespaceSelector")
    return [
        pod
        for pod in everyone
        if (pod.namespace == own if within is None else selects(within, namespaces.get(pod.namespace, {})))
        and selects(peer.get("podSelector") or {}, pod.labels)
    ]


def _numbered(ports: Iterable[Mapping[str, Any]], destination: Pod | None) -> frozenset[Ports] | None:
    """Return the ports as numbers, names looked up in the destination; None when there are none to restrict to."""
    found = set()
    for port in ports:
        protocol, wanted = port.get("protocol", "TCP"), port.get("port")
        if isinstance(wanted, str):
            number = destination.ports.get((protocol, wanted)) if destination else None
            found |= {Ports(protocol, number, number)} if number else set()
        else:
            found.add(Ports(protocol, wanted, port.get("endPort", wanted)))
    return frozenset(found) if ports else None


def _named(ports: Iterable[Mapping[str, Any]]) -> bool:
    return any(isinstance(port.get("port"), str) for port in ports)


class _Compiler:
    """The state of one look at the cluster."""

    def __init__(self, everyone: list[Pod], namespaces: Mapping[str, Labels]) -> None:
        self.everyone, self.namespaces = everyone, namespaces

    def allowed(self, rule: Mapping[str, Any], *, pod: Pod, direction: Direction) -> Iterable[Allowed]:
        """Yield what one rule of a policy lets in or out of one pod."""
        ports = rule.get("ports") or []
        by_destination = direction == "egress" and _named(ports)  # then each peer has numbers of its own
        fixed = _numbered(ports, pod if direction == "ingress" else None)
        peers = rule.get("from" if direction == "ingress" else "to")
        if not peers:
            yield Allowed(None, fixed)
            yield from self._each(self.everyone, ports) if by_destination else ()
        for peer in peers or ():
            if described := peer.get("ipBlock"):
                block = Block(described["cidr"], tuple(described.get("except") or ()))
                yield Allowed(block, fixed)
                inside = [other for other in self.everyone if by_destination and block.holds(other.address)]
                yield from self._each(inside, ports)
                continue
            found = _peers(peer, own=pod.namespace, everyone=self.everyone, namespaces=self.namespaces)
            together = Allowed(frozenset(other.address for other in found), fixed)
            yield from self._each(found, ports) if by_destination else [together]

    def _each(self, found: Iterable[Pod], ports: list[Mapping[str, Any]]) -> Iterable[Allowed]:
        for other in found:
            yield Allowed(frozenset({other.address}), _numbered(ports, other))


def isolation(
    policies: Iterable[Mapping[str, Any]],
    *,
    direction: Direction,
    everyone: list[Pod],
    namespaces: Mapping[str, Labels],
) -> Isolation:
    """Return the pods that policies isolate in one direction, with all that any of these policies allows."""
    compiler, found = _Compiler(everyone, namespaces), Isolation()
    for policy in policies:
        spec = policy["spec"]
        if direction not in _types(spec):
            continue
        for pod in everyone:
            if pod.namespace != policy["metadata"]["namespace"] or not selects(
                spec.get("podSelector") or {}, pod.labels
            ):
                continue
            allowed = found.setdefault(pod.address, [])
            for rule in spec.get(direction) or ():
                allowed.extend(compiler.allowed(rule, pod=pod, direction=direction))
    return found

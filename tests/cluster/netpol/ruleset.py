"""What is allowed as one nftables table, replaced as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cluster.netpol.policy import Allowed, Block, Direction, Isolation, Ports
from tests.cluster.node.network import POLICY_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

_SIDE = {"ingress": "saddr", "egress": "daddr"}  # where a peer stands in a packet, seen from the isolated pod


def _port(ports: Ports) -> str:
    protocol = ports.protocol.lower()
    if ports.first is None:
        return f"ip protocol {protocol}"
    return f"{protocol} dport {ports.first}" + (f"-{ports.last}" if ports.last != ports.first else "")


def _peer(peers: frozenset[str] | Block, side: str) -> str:
    if isinstance(peers, Block):
        holes = f" ip {side} != {{ {', '.join(peers.holes)} }}" if peers.holes else ""
        return f"ip {side} {peers.cidr}{holes}"
    return f"ip {side} {{ {', '.join(sorted(peers))} }}"


def _rules(allowed: Iterable[Allowed], side: str) -> list[str]:
    found = []
    for hole in allowed:
        if hole.peers is not None and not hole.peers:
            continue  # a selector that matches no pod
        if isinstance(hole.peers, Block) and ":" in hole.peers.cidr:
            continue  # pods of these clusters have IPv4 addresses alone
        peer = _peer(hole.peers, side) if hole.peers is not None else ""
        ports = [""] if hole.ports is None else sorted(_port(port) for port in hole.ports)
        found += [" ".join(part for part in (peer, port, "return") if part) for port in ports]
    return list(dict.fromkeys(found))


def _chain(direction: Direction, address: str) -> str:
    return f"{direction}-{address.replace('.', '-')}"


def _chains(isolation: Isolation, direction: Direction) -> list[str]:
    """Return a chain for each isolated pod: it returns what is allowed and drops the rest."""
    lines = []
    for address, allowed in sorted(isolation.items()):
        rules = "".join(f"    {rule}\n" for rule in _rules(allowed, _SIDE[direction]))
        lines.append(f"  chain {_chain(direction, address)} {{\n{rules}    drop\n  }}")
    return lines


def _jump(isolation: Isolation, direction: Direction) -> str:
    if not isolation:
        return ""
    own = "daddr" if direction == "ingress" else "saddr"
    jumps = ", ".join(f"{address} : jump {_chain(direction, address)}" for address in sorted(isolation))
    return f"    ip {own} vmap {{ {jumps} }}\n"


def render(*, ingress: Isolation, egress: Isolation) -> str:
    """Return what `nft -f -` takes: between pods both directions hold, towards the node the sender's.

    What the node itself sends passes neither hook.
    """
    out, into = _jump(egress, "egress"), _jump(ingress, "ingress")
    known = "    ct state established,related accept\n"
    chains = "\n".join(_chains(ingress, "ingress") + _chains(egress, "egress"))
    return f"""add table {POLICY_TABLE}
delete table {POLICY_TABLE}
table {POLICY_TABLE} {{
{chains}
  chain forward {{
    type filter hook forward priority -5; policy accept;
{known}{out}{into}  }}
  chain input {{
    type filter hook input priority -5; policy accept;
{known}{out}  }}
}}
"""

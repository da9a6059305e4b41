"""What isolations let through, decided as the table's hooks do: what leaves a pod, then what enters one. For tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cluster.netpol.policy import Block

if TYPE_CHECKING:
    from tests.cluster.netpol.policy import Allowed, Isolation


def reaches(start: str, end: str, port: int, protocol: str, *, out: Isolation, into: Isolation) -> bool:
    """Tell whether a connection from one address to another passes both directions' isolations."""
    leaves = start not in out or _lets(out[start], end, port, protocol)
    return leaves and (end not in into or _lets(into[end], start, port, protocol))


def _peer(peers: frozenset[str] | Block | None, address: str) -> bool:
    if isinstance(peers, Block):
        return peers.holds(address)
    return peers is None or address in peers


def _lets(holes: list[Allowed], address: str, port: int, protocol: str) -> bool:
    return any(
        _peer(hole.peers, address)
        and (
            hole.ports is None
            or any(
                item.protocol == protocol and (item.first is None or item.first <= port <= (item.last or 0))
                for item in hole.ports
            )
        )
        for hole in holes
    )

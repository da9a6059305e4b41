"""Counts many cheap requests against a limit without asking Redis for each.

A process takes a part of the limit in advance, one round trip for all its rules, and uses it up within a second. The
part starts at one request and doubles while it is used up within the second, up to a fiftieth of the limit: what a
process holds and does not use is lost to the others, so that is how far the shared limit may be missed, on the safe
side.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from payment_service.ratelimit.limiter import Decision, Limiter, Rule

LEASE_SECONDS: Final = 1.0
LARGEST_PART: Final = 50
MAXIMUM_LEASES: Final = 10_000


class _Lease:
    __slots__ = ("decision", "ends", "left", "part", "taken")

    def __init__(self) -> None:
        self.decision: Decision | None = None
        self.left = 0
        self.part = 1
        self.taken = 0.0
        self.ends = float("-inf")


class Leases:
    """Parts of limits that this process holds, by who asks.

    Args:
        limiter: where the parts are taken from.
        monotonic: seconds that only grow.
    """

    def __init__(self, limiter: Limiter, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limiter = limiter
        self._monotonic = monotonic
        self._leases: OrderedDict[tuple[Rule, ...], _Lease] = OrderedDict()
        self._lock = asyncio.Lock()

    def held(self, rules: tuple[Rule, ...]) -> Decision | None:
        """Use one request of the part that is held; None when there is none left. Asks nobody."""
        lease = self._leases.get(rules)
        if lease is None or lease.left <= 0 or self._monotonic() >= lease.ends:
            return None
        lease.left -= 1
        return lease.decision

    async def check(self, rules: tuple[Rule, ...]) -> Decision:
        """Use one request of the part, and take a new part when none is left."""
        found = self.held(rules)
        if found is not None:
            return found
        async with self._lock:
            return self.held(rules) or await self._take(rules)

    async def _take(self, rules: tuple[Rule, ...]) -> Decision:
        lease = self._leases.setdefault(rules, _Lease())
        self._leases.move_to_end(rules)
        while len(self._leases) > MAXIMUM_LEASES:
            self._leases.popitem(last=False)
        now = self._monotonic()
        busy = lease.left <= 0 and now - lease.taken < LEASE_SECONDS
        largest = max(1, min(rule.limit for rule in rules) // LARGEST_PART)
        lease.part = min(lease.part * 2, largest) if busy else 1
        decision = await self._limiter.check(*(rule._replace(amount=lease.part) for rule in rules))
        if not decision.allowed and lease.part > 1:
            lease.part = 1
            decision = await self._limiter.check(*rules)
        if decision.allowed:
            lease.decision, lease.left = decision, lease.part - 1
            lease.taken, lease.ends = now, now + LEASE_SECONDS
        return decision

"""Rate limits: decided and counted in one step, for one or several rules at once.

An exact rule keeps a sliding log: at most N in any window. (A token bucket with a burst of N would let nearly 2 N
through in one.) Other rules count in two windows, the former weighed by what is left of it: two numbers instead of N,
and never more than N by that measure.
"""

from __future__ import annotations

import contextlib
import math
import secrets
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast

from payment_service.caching.circuit_breaker import Circuit, CircuitOpen
from payment_service.observability.metrics import LIMITER_DECISIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from payment_service.caching.redis import RedisClient

WINDOW_SECONDS: Final = 60.0
MAXIMUM_SUBJECTS: Final = 10_000


class Rule(NamedTuple):
    """One limit for one subject."""

    name: str
    subject: str
    limit: int
    """In a window."""
    exact: bool = False
    amount: int = 1
    """How many requests to count at once; 0 only looks; an exact rule counts one at most."""
    window_seconds: float = WINDOW_SECONDS
    share: int = 0
    """The limit is at least this percentage of what the rule before it holds."""


class Decision(NamedTuple):
    """What the limiter says of one request."""

    allowed: bool
    name: str
    """Of the rule that refuses, or else of the one with the least left."""
    limit: int
    remaining: int
    reset_seconds: float
    """Until one more request is allowed (when refused) or the window is empty."""


_SCRIPT: Final = """
local moment = redis.call('TIME')
local now = moment[1] * 1000000 + moment[2]
local rules = {}
for i, key in ipairs(KEYS) do
  local at = 5 * i - 2
  local rule = {
    limit = tonumber(ARGV[at]), amount = tonumber(ARGV[at + 1]), exact = ARGV[at + 2] == '1',
    window = tonumber(ARGV[at + 3]), share = tonumber(ARGV[at + 4])
  }
  rules[i] = rule
  if rule.share > 0 and i > 1 then
    rule.limit = math.max(rule.limit, math.floor(rules[i - 1].held * rule.share / 100))
  end
  local room = rule.limit - math.max(1, rule.amount)
  local wait = 0
  if rule.exact then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now - rule.window)
    rule.held = redis.call('ZCARD', key)
    if rule.held > room then
      local last = rule.held - math.max(1, rule.limit)
      local entry = redis.call('ZRANGE', key, last, last, 'WITHSCORES')[2]
      wait = entry and tonumber(entry) + rule.window - now or rule.window
    end
  else
    rule.slot = math.floor(now / rule.window)
    local part = (now % rule.window) / rule.window
    local stored = redis.call('HMGET', key, rule.slot, rule.slot - 1)
    local current, former = tonumber(stored[1] or 0), tonumber(stored[2] or 0)
    rule.held = current + math.floor(former * (1 - part))
    if current >= rule.limit then
      wait = (2 - part - rule.limit / math.max(1, current)) * rule.window
    elseif rule.held > room then
      wait = math.max(0, 1 - part - (rule.limit - current) / math.max(1, former)) * rule.window
    end
  end
  if rule.held > room and ARGV[2] == '0' then
    return {i, rule.held, math.ceil(wait)}
  end
end
local answer = {0, 0, rules[1].window}
for i, key in ipairs(KEYS) do
  local rule = rules[i]
  if rule.amount > 0 and rule.exact then
    redis.call('ZADD', key, now, now .. ':' .. ARGV[1])
    redis.call('PEXPIRE', key, math.ceil(rule.window / 1000))
  elseif rule.amount > 0 then
    redis.call('HINCRBY', key, rule.slot, rule.amount)
    redis.call('HDEL', key, rule.slot - 2, rule.slot - 3)
    redis.call('PEXPIRE', key, math.ceil(rule.window / 500))
  end
  answer[3 + i] = rule.held + rule.amount
end
return answer
"""
"""One round trip, atomic in the server (valkey.io/topics/eval-intro); the server's clock, so that pods agree.

Returns the number of the rule that refuses (0: none), what it holds, the microseconds until it lets one more through,
then, when allowed, what each rule holds. Nothing is counted when one refuses, unless everything is to be counted.
"""


class Limiter(Protocol):
    """Decides and counts in one step."""

    async def check(self, *rules: Rule) -> Decision:
        """Count one request against all `rules`, or against none when one refuses."""

    async def add(self, *rules: Rule) -> None:
        """Count what has happened against all `rules`, whatever they hold."""


class LocalLimiter:
    """In this process's memory: for development, and for one process only.

    Args:
        monotonic: seconds that only grow.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._logs: OrderedDict[tuple[str, str], deque[tuple[float, int]]] = OrderedDict()

    async def check(self, *rules: Rule) -> Decision:
        """Count one request; refused ones are not counted."""
        held: list[int] = []
        for rule in rules:
            log = self._log(rule)
            limit = max(rule.limit, held[-1] * rule.share // 100 if rule.share else 0)
            held.append(sum(amount for _, amount in log))
            if held[-1] + max(1, rule.amount) > limit:
                wait = self._wait(log, held[-1] + 1 - limit, rule)
                return Decision(allowed=False, name=rule.name, limit=limit, remaining=0, reset_seconds=wait)
        await self.add(*rules)
        counts = [count + rule.amount for rule, count in zip(rules, held, strict=True)]
        return _tightest(rules, counts, rules[0].window_seconds)

    async def add(self, *rules: Rule) -> None:
        """Count what has happened."""
        for rule in rules:
            if rule.amount:
                self._log(rule).append((self._monotonic(), rule.amount))

    def _wait(self, log: deque[tuple[float, int]], excess: int, rule: Rule) -> float:
        """Return the seconds until `excess` of what was counted lies outside of the window."""
        for moment, amount in log:
            excess -= amount
            if excess <= 0:
                return max(0.0, moment + rule.window_seconds - self._monotonic())
        return rule.window_seconds

    def _log(self, rule: Rule) -> deque[tuple[float, int]]:
        key = (rule.name, rule.subject)
        log = self._logs.setdefault(key, deque())
        self._logs.move_to_end(key)
        while len(self._logs) > MAXIMUM_SUBJECTS:
            self._logs.popitem(last=False)
        while log and log[0][0] <= self._monotonic() - rule.window_seconds:
            log.popleft()
        return log


class RedisLimiter:
    """Shared by all pods, in Redis.

    By stated choice it fails open: without Redis requests are allowed and counted as `open`. All keys carry one hash
    tag, so that a cluster keeps them on one node and several rules stay one atomic step.
    """

    def __init__(self, client: RedisClient, *, circuit: Circuit | None = None) -> None:
        self._script = client.register_script(_SCRIPT)
        self._circuit = circuit or Circuit()

    async def check(self, *rules: Rule) -> Decision:
        """Count one request; refused ones are not counted."""
        try:
            refusing, held, wait, *counts = await self._run(rules)
        except CircuitOpen:
            return _tightest(rules, [0] * len(rules), WINDOW_SECONDS)
        if refusing:
            rule = rules[refusing - 1]
            left = max(0, rule.limit - held)
            return Decision(
                allowed=False, name=rule.name, limit=rule.limit, remaining=left, reset_seconds=wait / 1_000_000
            )
        return _tightest(rules, counts, wait / 1_000_000)

    async def add(self, *rules: Rule) -> None:
        """Count what has happened; without Redis it is forgotten."""
        with contextlib.suppress(CircuitOpen):
            await self._run(rules, everything=True)

    async def _run(self, rules: Sequence[Rule], *, everything: bool = False) -> list[int]:
        keys = [f"payments:{{limit}}:{rule.name}:{rule.subject}" for rule in rules]
        arguments: list[str | int | bytes] = [secrets.token_hex(4), int(everything)]
        for rule in rules:
            window = int(rule.window_seconds * 1_000_000)
            arguments += [rule.limit, rule.amount, int(rule.exact), window, rule.share]
        try:
            async with self._circuit.asking():
                answer = await self._script(keys=keys, args=arguments)
        except CircuitOpen:
            LIMITER_DECISIONS.labels("open").inc()
            raise
        return cast("list[int]", answer)


def _tightest(rules: Sequence[Rule], counts: Sequence[int], reset_seconds: float) -> Decision:
    """Return the decision of the rule that has the least left."""
    left = [max(0, rule.limit - count) for rule, count in zip(rules, counts, strict=True)]
    index = min(range(len(rules)), key=lambda i: (left[i] / max(1, rules[i].limit), i))
    rule = rules[index]
    return Decision(
        allowed=True, name=rule.name, limit=rule.limit, remaining=left[index], reset_seconds=math.ceil(reset_seconds)
    )

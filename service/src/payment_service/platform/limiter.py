"""Rate limits: decided and counted in one step, for one or several rules at once.

An exact rule keeps a sliding log: at most N in any minute. (A token bucket with a burst of N would let nearly 2 N
through in a minute.) Other rules count in two windows of a minute, the former weighed by what is left of it: two
numbers instead of N, and never more than N by that measure.
"""

from __future__ import annotations

import math
import secrets
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from payment_service.platform.circuit import Circuit, CircuitOpen
from payment_service.platform.metrics import LIMITER_DECISIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WINDOW_SECONDS: Final = 60.0
MAXIMUM_SUBJECTS: Final = 10_000


class Rule(NamedTuple):
    """One limit for one subject."""

    name: str
    subject: str
    limit: int
    """In a minute."""
    exact: bool = False
    amount: int = 1
    """How many requests to count at once; an exact rule counts one."""


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
local window = tonumber(ARGV[1])
local slot = math.floor(now / window)
local part = (now % window) / window
local held = {}
for i, key in ipairs(KEYS) do
  local limit, amount = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  if ARGV[3 * i + 2] == '1' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
    held[i] = redis.call('ZCARD', key)
    if held[i] >= limit then
      return {i, math.floor(held[i]), tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]) + window - now}
    end
  else
    local stored = redis.call('HMGET', key, slot, slot - 1)
    held[i] = tonumber(stored[1] or 0) + math.floor(tonumber(stored[2] or 0) * (1 - part))
    if held[i] + amount > limit then
      return {i, held[i], math.ceil((1 - part) * window / math.max(1, limit))}
    end
  end
end
local answer = {0, 0, window}
for i, key in ipairs(KEYS) do
  local amount = tonumber(ARGV[3 * i + 1])
  if ARGV[3 * i + 2] == '1' then
    redis.call('ZADD', key, now, now .. ':' .. ARGV[2])
    redis.call('PEXPIRE', key, math.ceil(window / 1000))
  else
    redis.call('HINCRBY', key, slot, amount)
    redis.call('HDEL', key, slot - 2, slot - 3)
    redis.call('PEXPIRE', key, math.ceil(window / 500))
  end
  answer[3 + i] = held[i] + amount
end
return answer
"""
"""One round trip, atomic in the server (valkey.io/topics/eval-intro); the server's clock, so that pods agree.

Returns the number of the rule that refuses (0: none), what it holds, the microseconds until it resets, then, when
allowed, what each rule holds. Nothing is counted when one refuses.
"""


class Limiter(Protocol):
    """Decides and counts in one step."""

    async def check(self, *rules: Rule) -> Decision:
        """Count one request against all `rules`, or against none when one refuses."""


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
        now = self._monotonic()
        held = []
        for rule in rules:
            log = self._log(rule, now)
            held.append(sum(amount for _, amount in log))
            if held[-1] + rule.amount > rule.limit:
                wait = log[0][0] + WINDOW_SECONDS - now if log else WINDOW_SECONDS
                return Decision(
                    allowed=False, name=rule.name, limit=rule.limit, remaining=0, reset_seconds=max(0.0, wait)
                )
        for rule in rules:
            self._log(rule, now).append((now, rule.amount))
        return _tightest(rules, [count + rule.amount for rule, count in zip(rules, held, strict=True)], WINDOW_SECONDS)

    def _log(self, rule: Rule, now: float) -> deque[tuple[float, int]]:
        key = (rule.name, rule.subject)
        log = self._logs.setdefault(key, deque())
        self._logs.move_to_end(key)
        while len(self._logs) > MAXIMUM_SUBJECTS:
            self._logs.popitem(last=False)
        while log and log[0][0] <= now - WINDOW_SECONDS:
            log.popleft()
        return log


class RedisLimiter:
    """Shared by all pods, in Redis.

    By stated choice it fails open: without Redis requests are allowed and counted as `open`. All keys carry one hash
    tag, so that a cluster keeps them on one node and several rules stay one atomic step.
    """

    def __init__(self, client: Any, *, circuit: Circuit | None = None) -> None:
        self._script = client.register_script(_SCRIPT)
        self._circuit = circuit or Circuit()

    async def check(self, *rules: Rule) -> Decision:
        """Count one request; refused ones are not counted."""
        keys = [f"payments:{{limit}}:{rule.name}:{rule.subject}" for rule in rules]
        arguments: list[Any] = [int(WINDOW_SECONDS * 1_000_000), secrets.token_hex(4)]
        for rule in rules:
            arguments += [rule.limit, rule.amount, int(rule.exact)]
        try:
            async with self._circuit.asking():
                refusing, held, wait, *counts = await self._script(keys=keys, args=arguments)
        except CircuitOpen:
            LIMITER_DECISIONS.labels("open").inc()
            return _tightest(rules, [0] * len(rules), WINDOW_SECONDS)
        if refusing:
            rule = rules[refusing - 1]
            left = max(0, rule.limit - held)
            return Decision(
                allowed=False, name=rule.name, limit=rule.limit, remaining=left, reset_seconds=wait / 1_000_000
            )
        return _tightest(rules, counts, wait / 1_000_000)


def _tightest(rules: Sequence[Rule], counts: Sequence[int], reset_seconds: float) -> Decision:
    """Return the decision of the rule that has the least left."""
    left = [max(0, rule.limit - count) for rule, count in zip(rules, counts, strict=True)]
    index = min(range(len(rules)), key=lambda i: (left[i] / max(1, rules[i].limit), i))
    rule = rules[index]
    return Decision(
        allowed=True, name=rule.name, limit=rule.limit, remaining=left[index], reset_seconds=math.ceil(reset_seconds)
    )

"""Questions that reads of callers put to Stripe: each caller has a number of them, and the same one is asked once.

Stripe limits what an account may ask in a second (docs.stripe.com/rate-limits), so a caller that asks for what is not
here, again and again, would take Stripe from everybody's payments. One rule for all of them: who asks the same at once
shares one call; what Stripe does not have is remembered for a while (events of Stripe's, which are looked at first,
show what is made meanwhile); and calls count for the caller, in all processes together.

What belongs to an operation is not asked here: it has its own limits, and must not stop between two phases.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar, cast

from payment_service.errors import TooManyRequests, Unprocessable
from payment_service.observability.metrics import LIMITER_DECISIONS
from payment_service.ratelimit.limiter import Rule
from payment_service.ratelimit.limits import limit_headers
from payment_service.tasks import begin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from payment_service.config.caller_settings import CallerSettings
    from payment_service.ratelimit.limiter import Limiter

AnswerT = TypeVar("AnswerT")
Question = tuple[str, ...]
LIMIT: Final = "stripe_reads"
REMEMBERED: Final = 2000
"""Answers, in one process."""


class Asker(NamedTuple):
    """For whom a question counts."""

    kind: str
    """`key` or `address`."""
    subject: str


class _Remembered(NamedTuple):
    until: float
    answer: object
    absent: Unprocessable | None


class StripeReads:
    """Puts questions to Stripe.

    Args:
        limiter: shared by all pods.
        settings: how many a minute, and for how long what is absent is remembered; 0 of either: without it.
        monotonic: seconds that only grow.
    """

    def __init__(
        self, limiter: Limiter, settings: CallerSettings, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._limiter = limiter
        self._settings = settings
        self._monotonic = monotonic
        self._asking: dict[Question, asyncio.Task[object]] = {}
        self._remembered: OrderedDict[Question, _Remembered] = OrderedDict()

    async def look_up(
        self, asker: Asker, question: Question, read: Callable[[], Awaitable[AnswerT]], *, fresh_seconds: float = 0
    ) -> AnswerT:
        """Return the answer to a question: a remembered one, that of who asks the same now, or Stripe's.

        Args:
            asker: for whom a call counts.
            question: what makes two the same.
            read: asks Stripe; raises `Unprocessable` for what Stripe does not have.
            fresh_seconds: for how long an answer is given again.

        Raises:
            Unprocessable: what `read` raises, or raised within the last seconds.
            TooManyRequests: this caller has asked as often as it may.
        """
        known = self._recall(question)
        if known is None and question not in self._asking:
            await self._count(asker)
            known = self._recall(question)
        if known is not None:
            if known.absent is not None:
                raise copy.copy(known.absent)
            return cast("AnswerT", known.answer)  # to the same question, which `read` answers
        asking = self._asking.get(question)
        if asking is None:
            asking = self._asking[question] = begin(self._read(question, read, fresh_seconds))
            asking.add_done_callback(partial(self._asked, question))
        return cast("AnswerT", await asyncio.shield(asking))

    async def _read(self, question: Question, read: Callable[[], Awaitable[AnswerT]], fresh_seconds: float) -> AnswerT:
        try:
            answer = await read()
            self._remember(question, fresh_seconds, answer, None)
        except Unprocessable as error:
            self._remember(question, self._settings.absent_seconds, None, error)
            raise
        return answer

    def _asked(self, question: Question, asking: asyncio.Task[object]) -> None:
        """Forget a call that has ended; asyncio would complain of a fault that nobody waits for any more."""
        del self._asking[question]
        if not asking.cancelled():
            asking.exception()

    async def _count(self, asker: Asker) -> None:
        limit = self._settings.stripe_reads_per_minute
        if not limit:
            return
        decision = await self._limiter.check(Rule(LIMIT, f"{asker.kind}:{asker.subject}", limit))
        if decision.allowed:
            return
        LIMITER_DECISIONS.labels("refused").inc()
        error = TooManyRequests(
            f"At most {limit} questions to Stripe in any minute ({LIMIT}): prices as Stripe has them, ids and lookup "
            "keys that are not known here; try again later",
            retry_after=decision.reset_seconds,
        )
        error.headers = {name.decode(): value.decode() for name, value in limit_headers(decision)}
        raise error

    def _recall(self, question: Question) -> _Remembered | None:
        found = self._remembered.get(question)
        return found if found is not None and self._monotonic() < found.until else None

    def _remember(self, question: Question, seconds: float, answer: object, absent: Unprocessable | None) -> None:
        if seconds <= 0:
            return
        self._remembered[question] = _Remembered(self._monotonic() + seconds, answer, absent)
        self._remembered.move_to_end(question)
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)

"""Judges the active revision by what it says of itself and what is asked about it, over the whole bake.

Two samples make a look. A ratio is judged over as many looks as it takes to have enough answers, and once more over the
whole bake at its end. An answer that cannot be read, too few answers, no payment attempt: inconclusive, never passed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from payment_operator.api.release import Bake as Limits
from payment_operator.model.measures import Measure, acute, failed, judge_traffic, traffic
from payment_operator.model.observed import Bake
from payment_operator.model.pod import Pod
from payment_operator.model.samples import TIMES, Sample, Unreadable

NAMED_PODS: Final = 3
SHOWN_AGAIN: Final = timedelta(seconds=60)
"""Between two writes of values in the status that change no verdict."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one look has found beside the pods' metrics."""

    at: datetime
    restarts: int
    """Since the switch, of our containers."""
    ready: int
    former: Sample = field(default_factory=Sample)
    """Of the former revision's pods, from their start on."""
    asked: tuple[Measure, ...] = ()
    """What others were asked: Prometheus, webhooks, the API with the probe key."""


@dataclass(frozen=True)
class Silent:
    """Who was asked and did not answer."""

    words: str
    waits: bool
    """Whether one may answer yet: it did not for less than some looks."""


@dataclass
class Looks:
    """The looks at one revision since one switch; all of it can be lost.

    A pod's counters begin at the first look after the switch. An operator that comes later counts from the pod's start:
    the checks before the switch are in it then, and what others have seen meanwhile is not lost.
    """

    switch: str
    restarts: dict[str, int]
    late: bool = False
    at: datetime | None = None
    samples: dict[str, Sample] = field(default_factory=dict)
    """The last ones, by uid."""
    unheard: dict[str, int] = field(default_factory=dict)
    """Looks in a row that a pod gave nothing to, by uid."""
    total: Sample = field(default_factory=Sample)
    open: Sample = field(default_factory=Sample)
    """Since answers were judged last: too few as yet."""
    acute: bool = False
    """Whether the last look found what needs no traffic to be wrong."""
    seen: Bake = field(default_factory=Bake)
    shown_at: datetime | None = None
    unanswered: dict[str, int] = field(default_factory=dict)
    """Looks in a row in which what is asked did not answer, by name."""
    answered: set[str] = field(default_factory=set)
    """What has answered in this bake."""

    def take(self, answers: Mapping[Pod, Sample | Unreadable], look: "Look", *, limits: Limits) -> None:
        """Judge what the pods have answered, and others about them."""
        first = self.at is None
        growth = self._growth(answers, first=first)
        self.total, self.open = self.total.plus(growth), self.open.plus(growth)
        without = acute(growth, restarts=look.restarts, ready=look.ready, limits=limits)
        now = failed(without) or failed(look.asked)
        enough = max(self.open.requests, self.open.stripe_calls) >= limits.min_requests
        wrong = now or (judge_traffic(self.open, limits, former=look.former) if enough else "")
        silent = self._silent(look.asked, limits)
        passed = not wrong and (enough or self.acute) and not silent.waits
        self.acute = bool(now) or (self.acute and silent.waits)
        if enough:
            self.open = Sample()
        unread = self._unread(answers, limits)
        over_all = traffic(self.total, limits, former=look.former)
        lacking = unread or silent.words or self._lacking(limits)
        doubted = self.total.errors > self.total.requests / 2
        self.seen = replace(self.seen, overall=failed(over_all), lacking=lacking, unread=unread, doubted=doubted)
        self._show((*without, *over_all, *look.asked), look.at)
        if first and not wrong and not self.late:
            return
        breaches = self.seen.breaches + 1 if wrong else 0 if passed else self.seen.breaches
        breach = wrong or (self.seen.breach if breaches else "")
        self.seen = replace(self.seen, looks=self.seen.looks + 1, breaches=breaches, breach=breach)

    def _show(self, measures: tuple[Measure, ...], at: datetime) -> None:
        """Put measures into the status: at once when a verdict changes, their numbers now and then."""
        verdicts = [(entry.name, entry.verdict) for entry in measures]
        shown = [(entry.name, entry.verdict) for entry in self.seen.measures]
        if verdicts != shown or self.shown_at is None or at - self.shown_at >= SHOWN_AGAIN:
            self.seen, self.shown_at = replace(self.seen, measures=measures), at

    def _silent(self, asked: Sequence[Measure], limits: Limits) -> "Silent":
        """Which of those that are asked do not answer: for a while, or never yet."""
        for entry in asked:
            known = entry.verdict != "Inconclusive"
            self.unanswered[entry.name] = 0 if known else self.unanswered.get(entry.name, 0) + 1
            self.answered |= {entry.name} if known else set()
        long = [e for e in asked if self.unanswered[e.name] >= limits.failure_limit]
        lost = [e for e in asked if self.unanswered[e.name] and (e in long or e.name not in self.answered)]
        words = "; ".join(f"{entry.name} proves nothing: {entry.evidence}" for entry in lost[:NAMED_PODS])
        return Silent(words, any(self.unanswered[entry.name] and entry not in long for entry in asked))

    def _growth(self, answers: Mapping[Pod, Sample | Unreadable], *, first: bool) -> Sample:
        growth = Sample()
        for pod, answer in answers.items():
            if isinstance(answer, Unreadable):
                self.unheard[pod.uid] = self.unheard.get(pod.uid, 0) + 1
                continue
            began = answer if first and not self.late else Sample()
            growth = growth.plus(answer.since(self.samples.get(pod.uid, began)))
            self.samples[pod.uid] = answer
            self.unheard.pop(pod.uid, None)
        return growth

    def _unread(self, answers: Mapping[Pod, Sample | Unreadable], limits: Limits) -> str:
        """Which ready pods say nothing and never did, or have not for some looks, and what came."""
        found = [
            f"{pod.name}: {answer}"
            for pod, answer in answers.items()
            if isinstance(answer, Unreadable) and pod.ready and not pod.terminating
            if pod.uid not in self.samples or self.unheard[pod.uid] >= limits.failure_limit
        ]
        more = f"; and {len(found) - NAMED_PODS} more" if len(found) > NAMED_PODS else ""
        return f"the metrics of pods cannot be read: {'; '.join(found[:NAMED_PODS])}{more}" if found else ""

    def _lacking(self, limits: Limits) -> str:
        total = self.total
        if total.requests < limits.min_requests:
            failed = f", {total.errors:.0f} of them 5xx" if total.errors else ""
            return f"{total.requests:.0f} answers to callers who were let in{failed}, {limits.min_requests} are needed"
        if total.attempts < limits.min_payment_attempts:
            return f"{total.attempts:.0f} payment attempts, {limits.min_payment_attempts} are needed"
        return "" if total.buckets else f"no {TIMES} was seen"

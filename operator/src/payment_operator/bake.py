"""Judges the active revision by its pods' own metrics, over the whole bake: what was not measured is not a success.

Two samples make a look. A ratio is judged over as many looks as it takes to have enough answers, and once more over the
whole bake at its end. An answer that cannot be read, too few answers, no payment attempt: inconclusive, never passed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from payment_operator.api.release import Bake as Limits
from payment_operator.observed import Bake, Pod
from payment_operator.redaction import redact

STRIPE_FAILURES: Final = frozenset({"error", "timeout", "stripe_unavailable", "stripe_timeout", "stripe_misconfigured"})
"""Outcomes of calls to Stripe that are not the caller's or the card's doing."""
ROUTES: Final = "/api/"
REQUESTS: Final = "payments_http_requests_total"
TIMES: Final = "payments_http_request_duration_seconds"
NAMED_PODS: Final = 3
SHOWN: Final = 80
"""Characters of an answer that cannot be read."""


class Unreadable(Exception):
    """A pod's metrics that say nothing; the message tells what came."""


@dataclass
class Sample:
    """Counters of one pod, or their growth."""

    requests: float = 0
    """Answers to callers who were let in, and every 5xx: one of those is never the caller's doing."""
    errors: float = 0
    stripe_calls: float = 0
    stripe_failures: float = 0
    database_errors: float = 0
    attempts: float = 0
    """Payment attempts, whatever became of them."""
    buckets: dict[float, float] = field(default_factory=dict)
    """Answers at most so many seconds long, cumulative."""

    def since(self, former: "Sample") -> "Sample":
        """The growth; counters that began anew, of which one is less than it was, count from zero."""
        anew = any(self.counts().get(name, 0) < count for name, count in former.counts().items())
        return self._with(Sample() if anew else former, -1)

    def plus(self, other: "Sample") -> "Sample":
        """The sum of two pods, or of two looks."""
        return self._with(other, 1)

    def counts(self) -> dict[str | float, float]:
        """Every counter by name, every bucket by bound."""
        own = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "buckets"}
        found: dict[str | float, float] = {}
        found.update(own.items())
        found.update(self.buckets.items())
        return found

    def _with(self, other: "Sample", sign: int) -> "Sample":
        mine, others = self.counts(), other.counts()
        counts = {name: mine.get(name, 0) + sign * others.get(name, 0) for name in mine | others}
        buckets = {bound: counts.pop(bound) for bound in self.buckets | other.buckets}
        return Sample(**counts, buckets=buckets)  # type: ignore[arg-type] # the rest are its fields

    def p99_millis(self) -> float:
        """Upper bound of the bucket that holds the 99th percentile."""
        total = self.buckets.get(float("inf"), 0)
        return next((bound * 1000 for bound, n in sorted(self.buckets.items()) if n >= 0.99 * total), 0.0)


def parse(text: str) -> Sample:
    """Read the metrics that docs/contracts.md promises.

    Raises:
        Unreadable: it is something else, or a value is no count.
    """
    sample, known = Sample(), False
    try:
        for family in text_string_to_metric_families(text):
            known = known or family.name in {REQUESTS, REQUESTS.removesuffix("_total")}
            for name, labels, value, *_ in family.samples:
                _add(sample, name, labels, value)
    except KeyError as error:
        raise Unreadable(f"{REQUESTS} or {TIMES} lacks the label {error}") from error
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise Unreadable(f"no Prometheus text came but {_shown(text)}") from error
    if not known:
        raise Unreadable(f"it has no {REQUESTS}; it begins with {_shown(text)}")
    return sample


def _shown(text: str) -> str:
    return repr(redact(str(text)[: 2 * SHOWN])[:SHOWN])


def _count(name: str, value: float) -> float:
    if not math.isfinite(value) or value < 0:
        raise Unreadable(f"{name} is {value}")
    return value


def _add(sample: Sample, name: str, labels: dict[str, str], value: float) -> None:
    """Add one value; refusals of callers who were not let in do not dilute the share of failures and the answer time.

    Images without the label `admitted` are judged by all their answers.
    """
    if name in {REQUESTS, f"{TIMES}_bucket"}:
        _add_answers(sample, name, labels, _count(name, value))
    elif name == "payments_stripe_requests_total":
        sample.stripe_calls += _count(name, value)
        sample.stripe_failures += value if labels["outcome"] in STRIPE_FAILURES else 0
    elif name == "payments_database_errors_total":
        sample.database_errors += _count(name, value)
    elif name == "payment_attempts_total":
        sample.attempts += _count(name, value)


def _add_answers(sample: Sample, name: str, labels: dict[str, str], value: float) -> None:
    admitted = labels.get("admitted", "true") == "true"
    failed = name == REQUESTS and labels["status"].startswith("5")
    if not labels["route"].startswith(ROUTES) or not (admitted or failed):
        return
    if name == REQUESTS:
        sample.requests += value
        sample.errors += value if failed else 0
        return
    bound = float(labels["le"])
    sample.buckets[bound] = sample.buckets.get(bound, 0) + value


def judge(growth: Sample, *, restarts: int, ready: int, limits: Limits) -> str:
    """What is wrong whatever the traffic is, in words; empty when nothing is."""
    if not ready:
        return "no pod is ready"
    if restarts > limits.max_restarts:
        return f"{restarts} container restarts, at most {limits.max_restarts} are accepted"
    if growth.database_errors > limits.max_database_errors:
        return f"{growth.database_errors:.0f} database errors, at most {limits.max_database_errors} are accepted"
    return ""


def judge_traffic(growth: Sample, limits: Limits) -> str:
    """What is wrong with the answers, in words; empty when nothing is, or there are too few to say."""
    calls, failures = growth.stripe_calls, growth.stripe_failures
    found = _ratio("of calls to Stripe failed", failures, calls, limits.max_stripe_error_rate_permille, limits)
    found = found or _ratio(
        "of answers were 5xx", growth.errors, growth.requests, limits.max_error_rate_permille, limits
    )
    if found or growth.requests < limits.min_requests:
        return found
    p99 = growth.p99_millis()
    return f"p99 is {p99:.0f} ms, at most {limits.max_p99_millis} are accepted" if p99 > limits.max_p99_millis else ""


def _ratio(what: str, part: float, whole: float, most: int, limits: Limits) -> str:
    if whole < limits.min_requests or part * 1000 <= most * whole:
        return ""
    return f"{part * 1000 / whole:.0f} ‰ {what}, at most {most} ‰ are accepted"


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
    vain: dict[str, int] = field(default_factory=dict)
    """Looks in a row that a pod gave nothing to, by uid."""
    total: Sample = field(default_factory=Sample)
    open: Sample = field(default_factory=Sample)
    """Since answers were judged last: too few as yet."""
    acute: bool = False
    """Whether the last look found what needs no traffic to be wrong."""
    seen: Bake = field(default_factory=Bake)

    def take(self, answers: Mapping[Pod, Sample | Unreadable], *, restarts: int, ready: int, limits: Limits) -> None:
        """Judge what the pods have answered; `restarts` are those since the switch."""
        first = self.at is None
        growth = self._growth(answers, first=first)
        self.total, self.open = self.total.plus(growth), self.open.plus(growth)
        acute = judge(growth, restarts=restarts, ready=ready, limits=limits)
        enough = max(self.open.requests, self.open.stripe_calls) >= limits.min_requests
        wrong = acute or (judge_traffic(self.open, limits) if enough else "")
        passed = not wrong and (enough or self.acute)
        self.acute = bool(acute)
        if enough:
            self.open = Sample()
        unread = self._unread(answers, limits)
        lacking = unread or self._lacking(limits)
        overall = judge_traffic(self.total, limits)
        self.seen = replace(self.seen, overall=overall, lacking=lacking, unread=unread)
        if first and not wrong and not self.late:
            return
        breaches = self.seen.breaches + 1 if wrong else 0 if passed else self.seen.breaches
        breach = wrong or (self.seen.breach if breaches else "")
        self.seen = replace(self.seen, looks=self.seen.looks + 1, breaches=breaches, breach=breach)

    def _growth(self, answers: Mapping[Pod, Sample | Unreadable], *, first: bool) -> Sample:
        growth = Sample()
        for pod, answer in answers.items():
            if isinstance(answer, Unreadable):
                self.vain[pod.uid] = self.vain.get(pod.uid, 0) + 1
                continue
            began = answer if first and not self.late else Sample()
            growth = growth.plus(answer.since(self.samples.get(pod.uid, began)))
            self.samples[pod.uid] = answer
            self.vain.pop(pod.uid, None)
        return growth

    def _unread(self, answers: Mapping[Pod, Sample | Unreadable], limits: Limits) -> str:
        """Which ready pods say nothing and never did, or have not for some looks, and what came."""
        found = [
            f"{pod.name}: {answer}"
            for pod, answer in answers.items()
            if isinstance(answer, Unreadable) and pod.ready and not pod.terminating
            if pod.uid not in self.samples or self.vain[pod.uid] >= limits.failure_limit
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

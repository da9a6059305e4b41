"""What one pod's metrics say: counters that docs/contracts.md promises, and their growth."""

import math
from dataclasses import dataclass, field, fields
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from payment_operator.redaction import redact

STRIPE_FAILURES: Final = frozenset({"error", "timeout", "stripe_unavailable", "stripe_timeout", "stripe_misconfigured"})
"""Outcomes of calls to Stripe that are not the caller's or the card's doing."""
ROUTES: Final = "/api/"
REQUESTS: Final = "payments_http_requests_total"
TIMES: Final = "payments_http_request_duration_seconds"
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
    declined: float = 0
    """Attempts that the bank or Stripe refused."""
    refused: float = 0
    """Attempts that were refused before Stripe was asked for money, duplicates included."""
    duplicates: float = 0
    """Attempts to buy what the customer has already."""
    phases: float = 0
    """Phases of operations that came to an end, one way or the other."""
    interrupted: float = 0
    """Phases that ended in a fault; the operation is resumed."""
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
        _add_attempts(sample, labels["outcome"], _count(name, value))
    elif name == "payments_operations_total":
        sample.phases += _count(name, value)
        sample.interrupted += value if labels["outcome"] != "ok" else 0


def _add_attempts(sample: Sample, outcome: str, value: float) -> None:
    sample.attempts += value
    sample.declined += value if outcome == "declined" else 0
    sample.refused += value if outcome in {"refused", "duplicate"} else 0
    sample.duplicates += value if outcome == "duplicate" else 0


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

"""Judges the active revision by its pods' own metrics: two samples make a look."""

from dataclasses import dataclass, field
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from payment_operator.api.release import Bake as Limits

STRIPE_FAILURES: Final = frozenset({"error", "timeout", "stripe_unavailable", "stripe_timeout", "stripe_misconfigured"})
"""Outcomes of calls to Stripe that are not the caller's or the card's doing."""
ROUTES: Final = "/api/"


@dataclass
class Sample:
    """Counters of one pod, or their growth."""

    requests: float = 0
    errors: float = 0
    stripe_calls: float = 0
    stripe_failures: float = 0
    database_errors: float = 0
    buckets: dict[float, float] = field(default_factory=dict)
    """Answers at most so many seconds long, cumulative."""

    def since(self, former: "Sample") -> "Sample":
        """The growth; a counter that began anew counts from zero."""
        began_anew = self.requests < former.requests
        base = Sample() if began_anew else former
        return Sample(
            self.requests - base.requests,
            self.errors - base.errors,
            max(0, self.stripe_calls - base.stripe_calls),
            max(0, self.stripe_failures - base.stripe_failures),
            max(0, self.database_errors - base.database_errors),
            {bound: count - base.buckets.get(bound, 0) for bound, count in self.buckets.items()},
        )

    def plus(self, other: "Sample") -> "Sample":
        """The sum of two pods."""
        return Sample(
            self.requests + other.requests,
            self.errors + other.errors,
            self.stripe_calls + other.stripe_calls,
            self.stripe_failures + other.stripe_failures,
            self.database_errors + other.database_errors,
            {bound: self.buckets.get(bound, 0) + other.buckets.get(bound, 0) for bound in self.buckets | other.buckets},
        )

    def p99_millis(self) -> float:
        """Upper bound of the bucket that holds the 99th percentile."""
        total = self.buckets.get(float("inf"), 0)
        return next((bound * 1000 for bound, n in sorted(self.buckets.items()) if n >= 0.99 * total), 0.0)


def parse(text: str) -> Sample:
    """Read the metrics that docs/contracts.md promises."""
    sample = Sample()
    for family in text_string_to_metric_families(text):
        for name, labels, value, *_ in family.samples:
            _add(sample, name, labels, value)
    return sample


def _add(sample: Sample, name: str, labels: dict[str, str], value: float) -> None:
    ours = labels.get("route", "").startswith(ROUTES)
    if name == "payments_http_requests_total" and ours:
        sample.requests += value
        sample.errors += value if labels["status"].startswith("5") else 0
    elif name == "payments_http_request_duration_seconds_bucket" and ours:
        bound = float(labels["le"])
        sample.buckets[bound] = sample.buckets.get(bound, 0) + value
    elif name == "payments_stripe_requests_total":
        sample.stripe_calls += value
        sample.stripe_failures += value if labels["outcome"] in STRIPE_FAILURES else 0
    elif name == "payments_database_errors_total":
        sample.database_errors += value


def judge(growth: Sample, *, restarts: int, ready: int, limits: Limits) -> str:
    """What is wrong, in words; empty when nothing is."""
    if not ready:
        return "no pod is ready"
    if restarts > limits.max_restarts:
        return f"{restarts} container restarts, at most {limits.max_restarts} are accepted"
    if growth.database_errors > limits.max_database_errors:
        return f"{growth.database_errors:.0f} database errors, at most {limits.max_database_errors} are accepted"
    found = _ratio(
        "of calls to Stripe failed",
        growth.stripe_failures,
        growth.stripe_calls,
        limits.max_stripe_error_rate_permille,
        limits,
    )
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

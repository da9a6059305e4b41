"""What the bake measures, each with its value, its limit and the evidence: the status lists all of them.

A comparison with the former revision needs evidence on both sides; without, it is inconclusive and decides nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from payment_operator.api.release import Bake as Limits
from payment_operator.model.samples import Sample

Verdict = Literal["Passed", "Failed", "Inconclusive"]
WHOLE: Final = 1000
"""Of a share in thousandths."""


@dataclass(frozen=True)
class Measure:
    """One measure."""

    name: str
    verdict: Verdict
    value: str = ""
    limit: str = ""
    evidence: str = ""
    wrong: str = ""
    """In a sentence, when it has failed."""


def failed(measures: Iterable[Measure]) -> str:
    """What the first failed one says; empty when none has failed."""
    return next((entry.wrong for entry in measures if entry.verdict == "Failed"), "")


def judge_traffic(growth: Sample, limits: Limits, *, former: Sample | None = None) -> str:
    """What is wrong with the answers, in words; empty when nothing is, or there are too few to say."""
    return failed(traffic(growth, limits, former=former))


def acute(growth: Sample, *, restarts: int, ready: int, limits: Limits) -> list[Measure]:
    """What needs no traffic: pods, restarts of our containers, errors of the database in one look."""
    errors, most = growth.database_errors, limits.max_database_errors
    return [
        _bounded("readyPods", not ready, f"{ready}", "at least 1", wrong="no pod is ready"),
        _bounded(
            "restarts",
            restarts > limits.max_restarts,
            f"{restarts}",
            f"at most {limits.max_restarts}",
            wrong=f"{restarts} container restarts, at most {limits.max_restarts} are accepted",
        ),
        _bounded(
            "databaseErrors",
            errors > most,
            f"{errors:.0f}",
            f"at most {most} a look",
            wrong=f"{errors:.0f} database errors, at most {most} are accepted",
        ),
    ]


def traffic(growth: Sample, limits: Limits, *, former: Sample | None = None) -> list[Measure]:
    """What needs traffic: answers, calls to Stripe, what became of payment attempts and operations."""
    least, blue = limits.min_requests, former or Sample()
    return [
        _share(
            "stripeFailures",
            "of calls to Stripe failed",
            (growth.stripe_failures, growth.stripe_calls),
            limits.max_stripe_error_rate_permille,
            least,
        ),
        _share(
            "errorRatio", "of answers were 5xx", (growth.errors, growth.requests), limits.max_error_rate_permille, least
        ),
        _p99(growth, limits),
        _share(
            "interruptedOperations",
            "of operations' phases were interrupted",
            (growth.interrupted, growth.phases),
            limits.max_interrupted_permille,
            least,
        ),
        _compared(
            "declines",
            "of payment attempts were declined",
            (growth.declined, growth.attempts),
            (blue.declined, blue.attempts),
            (limits.max_decline_increase_permille, least),
        ),
        _compared(
            "refusals",
            f"of payment attempts were refused ({growth.duplicates:.0f} as duplicates)",
            (growth.refused, growth.attempts),
            (blue.refused, blue.attempts),
            (limits.max_refusal_increase_permille, least),
        ),
    ]


def _bounded(name: str, breach: object, value: str, limit: str, *, wrong: str, evidence: str = "") -> Measure:
    return Measure(name, "Failed" if breach else "Passed", value, limit, evidence, wrong if breach else "")


def _share(name: str, what: str, counts: tuple[float, float], most: int, least: int) -> Measure:
    part, whole = counts
    evidence, limit = f"{part:.0f} of {whole:.0f}", f"at most {most} ‰"
    if whole < least:
        return Measure(name, "Inconclusive", "", limit, f"{evidence}; {least} are needed")
    value = f"{part * WHOLE / whole:.0f} ‰"
    wrong = f"{value} {what}, at most {most} ‰ are accepted"
    return _bounded(name, part * WHOLE > most * whole, value, limit, wrong=wrong, evidence=evidence)


def _p99(growth: Sample, limits: Limits) -> Measure:
    limit, evidence = f"at most {limits.max_p99_millis} ms", f"{growth.requests:.0f} answers"
    if growth.requests < limits.min_requests or not growth.buckets:
        return Measure("p99", "Inconclusive", "", limit, f"{evidence}; {limits.min_requests} are needed")
    p99 = growth.p99_millis()
    wrong = f"p99 is {p99:.0f} ms, at most {limits.max_p99_millis} are accepted"
    breach = p99 > limits.max_p99_millis
    return _bounded("p99", breach, f"{p99:.0f} ms", limit, wrong=wrong, evidence=evidence)


def _compared(
    name: str, what: str, counts: tuple[float, float], former: tuple[float, float], bounds: tuple[int, int]
) -> Measure:
    """A share against the former revision's, which callers and banks shape as much as the image does."""
    (part, whole), (blue, all_blue), (increase, least) = counts, former, bounds
    evidence = f"{part:.0f} of {whole:.0f}, before {blue:.0f} of {all_blue:.0f}"
    limit = f"at most {increase} ‰ above the former revision's"
    if whole < least or all_blue < least:
        return Measure(name, "Inconclusive", "", limit, f"{evidence}; {least} of each are needed")
    most = blue * WHOLE / all_blue + increase
    value = part * WHOLE / whole
    wrong = f"{value:.0f} ‰ {what}, at most {most:.0f} ‰ are accepted: {increase} more than of the former revision"
    return _bounded(name, value > most, f"{value:.0f} ‰", limit, wrong=wrong, evidence=evidence)

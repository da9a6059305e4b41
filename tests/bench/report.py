"""Goals, tables and the JSON of a run."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from tests.bench.machine import POSTGRES, STRIPE_MILLISECONDS, versions
from tests.bench.session import LOAD_CPU

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.bench.session import Session


@dataclass(frozen=True)
class Goal:
    """One goal of the design: a median of ours against another one, or against a number."""

    text: str
    measure: str
    wanted: float
    at_most: bool = False
    arm: str = "ours"
    divided_by: tuple[str, str] | None = None
    """Measure and arm of the divisor."""
    minus: tuple[str, str] | None = None
    unit: str = "x"

    def value(self, session: Session) -> float | None:
        """Return what was measured, None when a part is missing."""
        against = self.divided_by or self.minus
        own = session.get(self.measure, self.arm)
        other = session.get(*against) if against else 0.0
        if own is None or other is None:
            return None
        return own / other if self.divided_by else own - other

    def met(self, value: float) -> bool:
        """Tell whether the goal is reached."""
        return value <= self.wanted if self.at_most else value >= self.wanted


_HELLO = "hello, 32 in flight"
_EVENTS = "webhooks, 32 in flight"
GOALS = (
    Goal("`/health/live` against R", _HELLO, 0.8, divided_by=(_HELLO, "R")),
    Goal("`/health/live` against S's hello", _HELLO, 5, divided_by=(_HELLO, "S")),
    Goal(
        "webhook events/s, 32 in flight, against P (16 clients)", _EVENTS, 1, divided_by=("webhooks, 16 in flight", "P")
    ),
    Goal("the same against S", _EVENTS, 10, divided_by=(_EVENTS, "S")),
    Goal("the same against D, sync workers", _EVENTS, 15, divided_by=(_EVENTS, "D sync")),
    Goal("the same against D, threads", _EVENTS, 15, divided_by=(_EVENTS, "D gthread")),
    Goal("WAL syncs per event, 32 in flight", "WAL syncs per event, 32 in flight", 0.15, at_most=True, unit="syncs"),
    Goal(
        "webhook p50 one at a time, above P's single insert",
        "webhook p50, 1 in flight",
        1.0,
        at_most=True,
        minus=("webhook p50, 1 in flight", "P"),
        unit="ms",
    ),
    Goal(
        "signed deliveries to ten local receivers against webhook events/s",
        "signed deliveries",
        0.3,
        arm="10 endpoints",
        divided_by=("webhooks received beside deliveries", "ours"),
    ),
    Goal(
        "p99 of 99 endpoints when the hundredth hangs, against when it does not",
        "delivery to 100 endpoints, p99 of those that answer",
        1.1,
        at_most=True,
        arm="one of 100 hangs",
        divided_by=("delivery to 100 endpoints, p99 of those that answer", "none hangs"),
    ),
    Goal(
        "create-subscription p50 above its Stripe calls",
        "create-subscription above Stripe, p50",
        5,
        at_most=True,
        unit="ms",
    ),
    Goal(
        "create-subscription throughput, 128 in flight, against S",
        "create-subscription, 128 in flight",
        4,
        divided_by=("create-subscription, 128 in flight", "S"),
    ),
    Goal("read of one subscription against R", "read, Zipf, 32 in flight", 0.45, divided_by=(_HELLO, "R")),
    Goal("hit rate of the cache, Zipf", "hit rate, Zipf", 85, unit="%"),
    Goal("start to first ready", "start to first ready", 1.5, at_most=True, unit="s"),
    Goal(
        "start to first ready against S",
        "start to first ready",
        0.9,
        at_most=True,
        divided_by=("start to first ready", "S"),
    ),
    Goal("memory after 200 000 requests", "memory after 200 000 requests", 100, at_most=True, unit="MiB"),
    Goal("memory gained per 100 000 requests", "memory gained per 100 000 requests", 1, at_most=True, unit="MiB"),
)

BEGIN = "<!-- tables: begin -->"
END = "<!-- tables: end -->"


def number(value: float) -> str:
    """Write three significant digits."""
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def tables(session: Session) -> Iterator[str]:
    """Yield the report's lines, as Markdown."""
    reached = [(goal, value) for goal in GOALS if (value := goal.value(session)) is not None]
    if reached:
        yield from ("| goal | wanted | measured | |", "|---|---|---|---|")
        for goal, value in reached:
            sign = "≤" if goal.at_most else "≥"
            unit = "x" if goal.divided_by else goal.unit
            mark = "met" if goal.met(value) else "**not met**"
            yield f"| {goal.text} | {sign} {goal.wanted:g} {unit} | {number(value)} {unit} | {mark} |"
        yield ""
    yield from ("| measure | arm | median | least to most | |", "|---|---|---:|---|---|")
    for measure, arms in session.series.items():
        for arm, series in arms.items():
            spread = f"{number(min(series.values))} to {number(max(series.values))}"
            yield f"| {measure} | {arm} | {number(series.median)} | {spread} | {series.unit} |"


def document(session: Session, path: Path) -> None:
    """Put the tables where the document keeps those of the last whole run."""
    ran = versions()
    heading = [
        f"## The last whole run, {dt.datetime.now(dt.UTC):%Y-%m-%d}",
        ", ".join(f"{name} {version}" for name, version in ran.items()) + ".",
        f"{session.rounds} rounds; the load generator used at most {session.busiest:.0%} of its core.",
        "Raw samples: [tests/bench/results/latest.json](../tests/bench/results/latest.json).",
        "",
    ]
    before, _, rest = path.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    path.write_text(before + "\n".join([BEGIN, *heading, *tables(session), END]) + after)


def write(session: Session, path: Path, *, command: str) -> None:
    """Write everything that was measured, with what it was measured on."""
    document: dict[str, Any] = {
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "command": command,
        "versions": versions(),
        "settings": {
            "rounds": session.rounds,
            "pace": session.pace,
            "postgresql": POSTGRES,
            "stripe_milliseconds": STRIPE_MILLISECONDS,
            "load_generator_cpu": LOAD_CPU,
            "load_generator_busiest": round(session.busiest, 3),
            "event_bytes": len(session.machine.event_body),
        },
        "goals": [
            {"goal": goal.text, "wanted": goal.wanted, "at_most": goal.at_most, "measured": value}
            for goal in GOALS
            if (value := goal.value(session)) is not None
        ],
        "samples": {
            measure: {arm: {"unit": series.unit, "values": series.values} for arm, series in arms.items()}
            for measure, arms in session.series.items()
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")

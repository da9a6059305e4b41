"""`make bench`: measures the service beside its alternatives on this machine."""

from __future__ import annotations

import importlib
from pathlib import Path

import click
from tests.bench import report
from tests.bench.machine import Machine
from tests.bench.session import Session

MEASURES = (
    "health",
    "webhooks",
    "apply",
    "deliveries",
    "feed",
    "create",
    "reads",
    "limiter",
    "scrape",
    "startup",
    "memory",
    "growth",
    "profile",
    "simulator",
)
RESULTS = Path(__file__).parent / "results"
DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"


@click.command()
@click.option("--only", default="", help="Measures, separated by commas; default: all.")
@click.option("--rounds", default=5, show_default=True, help="How often each arm has its turn.")
@click.option("--pace", default=1.0, show_default=True, help="Scales how long each turn lasts.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="JSON file.")
def main(only: str, rounds: int, pace: float, output: Path | None) -> None:
    """Measure, print the tables, write the JSON."""
    chosen = [name.strip() for name in only.split(",") if name.strip()] or list(MEASURES)
    if unknown := sorted(set(chosen) - set(MEASURES)):
        raise click.UsageError(f"no such measure: {', '.join(unknown)}; there are {', '.join(MEASURES)}")
    output = output or RESULTS / ("latest.json" if chosen == list(MEASURES) else f"{'-'.join(chosen)}.json")
    with Machine() as machine:
        session = Session(machine, rounds=rounds, pace=pace)
        for name in chosen:
            importlib.import_module(f"tests.bench.measures.{name}").run(session)
        report.write(session, output, command=f"make bench ONLY={only}" if only else "make bench")
        if output == RESULTS / "latest.json":
            report.document(session, DOCUMENT)
        click.echo("\n".join(report.tables(session)))
    session.say(f"written to {output}")


if __name__ == "__main__":
    main()

"""How long a scrape of the metrics takes, and what requests notice of one every tenth of a second."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import httpx
from tests.bench.arms import Ours
from tests.bench.session import get_request

if TYPE_CHECKING:
    from tests.bench.session import Session

SECONDS = 2.0
PER_SECOND = 300.0
EVERY_SECONDS = 0.1


def run(session: Session) -> None:
    """Ask the liveness probe at a steady rate, with and without scrapes."""
    ours = Ours(session.machine)
    ours.prepare()
    ours.start()
    try:
        for _ in session.turns("scrape"):
            _steady(session, ours, name="without scrapes")
            took: list[float] = []
            ended = threading.Event()
            scraping = threading.Thread(target=_scrape, args=(ours.admin_port, took, ended))
            scraping.start()
            try:
                _steady(session, ours, name="ten scrapes a second")
            finally:
                ended.set()
                scraping.join()
            for value in took:
                session.record("scrape of /metrics", "ours", value, "ms")
    finally:
        ours.stop()


def _steady(session: Session, ours: Ours, *, name: str) -> None:
    requests = [get_request("/health/live")]
    work = partial(session.drive, ours.port, connections=16, seconds=SECONDS, requests=requests, rate=PER_SECOND)
    result = work()
    session.record(f"/health/live p50 at {PER_SECOND:.0f}/s", name, result.quantile(0.5), "ms")
    session.record(f"/health/live p99 at {PER_SECOND:.0f}/s", name, result.quantile(0.99), "ms")


def _scrape(port: int, took: list[float], ended: threading.Event) -> None:
    with httpx.Client() as client:
        while not ended.wait(EVERY_SECONDS):
            began = time.perf_counter()
            client.get(f"http://127.0.0.1:{port}/metrics").raise_for_status()
            took.append((time.perf_counter() - began) * 1000)

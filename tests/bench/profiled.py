"""Runs `payments` under a sampling profiler: `python profiled.py RESULT ARGUMENTS…`.

Every two milliseconds of processor time the function that runs is noted by the layer that it belongs to; what the
kernel or C code does counts for the Python function that called it. It imports nothing of the tests: the interpreter
that runs it has the service's packages only.
"""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from payment_service.cli import main

EVERY_SECONDS = 0.002
LAYERS = {
    "payment_service/storage": "service: storage",
    "payment_service/http": "service: http",
    "payment_service/stripe_api": "service: Stripe",
    "payment_service/observability": "service: logs and metrics",
    "payment_service": "service: features",
    "uvicorn": "uvicorn (HTTP)",
    "asyncio/runners": "event loop (uvloop, kernel)",
    "structlog": "logs",
    "logging": "logs",
    "prometheus_client": "metrics",
    "asyncpg": "asyncpg",
    "sqlalchemy": "SQLAlchemy",
    "greenlet": "SQLAlchemy",
    "litestar": "Litestar",
    "msgspec": "Litestar",
    "stripe": "Stripe's SDK",
    "aiohttp": "aiohttp (to Stripe)",
    "yarl": "aiohttp (to Stripe)",
    "multidict": "aiohttp (to Stripe)",
    "redis": "redis",
}
samples: Counter[str] = Counter()
layers: dict[str, str] = {}


def layer_of(file: str) -> str:
    found = layers.get(file)
    if found is None:
        found = next((name for part, name in LAYERS.items() if f"/{part}" in file), "standard library and others")
        layers[file] = found
    return found


def sample(_number: int, frame: Any) -> None:
    samples[layer_of(frame.f_code.co_filename)] += 1


if __name__ == "__main__":
    result = Path(sys.argv.pop(1))
    signal.signal(signal.SIGUSR1, lambda *_: samples.clear())
    signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, EVERY_SECONDS, EVERY_SECONDS)
    try:
        main(prog_name="payments")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        result.write_text(json.dumps(samples))

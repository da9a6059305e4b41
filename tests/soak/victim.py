"""API processes on demand: forks one, with everything imported already, for each line on standard input.

A line is a JSON object `{"id", "environ", "worker", "moment", "kill_at"}`; the process answers on standard output with
`{"id", "port", "pid"}`, then `{"id", "place"}` before it kills itself, or `{"id", "points"}` after a whole request.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from typing import Any

import asyncmy
import asyncpg
import stripe
import uvloop
from tests.servers.process import die_with_parent
from tests.soak.points import Counted, Points

from payment_service.bootstrap import build, create_app
from payment_service.config.settings import Settings
from payment_service.http.server import Servers, listen

LOADED = asyncmy, asyncpg, stripe
CHANNEL = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # log lines go nowhere


def main() -> None:
    """Fork until standard input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    gc.freeze()
    for line in sys.stdin:
        if os.fork() == 0:
            die_with_parent()
            uvloop.run(serve(json.loads(line)))
            os._exit(0)


async def serve(job: dict[str, Any]) -> None:
    """Serve until killed; the first change is counted."""

    def tell(**said: Any) -> None:
        os.write(CHANNEL, json.dumps({"id": job["id"], **said}).encode() + b"\n")

    parts = build(Settings.from_env(job["environ"]))
    application: Any = create_app(parts)
    points = Points(job["moment"], job["kill_at"], lambda place: tell(place=place))

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] not in {"POST", "PATCH"} or points.reached:
            await application(scope, receive, send)
            return
        await Counted(application(scope, receive, send), points)
        tell(points=points.reached)

    listener = listen("127.0.0.1", 0)
    await Servers().start(counted, listener)
    tell(port=listener.getsockname()[1], pid=os.getpid())
    if job["worker"]:
        await parts.worker.run()
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()

"""`make soak`: the whole crash matrix, resumable, in shards, with its numbers at the end."""

from __future__ import annotations

import argparse
import asyncio
import functools
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.postgres import PostgresServer, wheel_programs
from tests.servers.stack import migrate
from tests.soak.crash import crashes
from tests.soak.matrix import Outcome, every_trial, run_trials

if TYPE_CHECKING:
    from tests.soak.crash import Trial

say = functools.partial(print, flush=True)
PASSED = Path(".cache/soak/crash-passed.txt")


class Progress:
    """Remembers what passed and says where the run is."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._failed = 0
        self._started = time.monotonic()
        self._file = PASSED.open("a", encoding="utf-8")

    def tell(self, trial: Trial, failure: str | None) -> None:
        """Note one trial."""
        self._done += 1
        if failure is None:
            self._file.write(f"{trial}\n")
            self._file.flush()
        else:
            self._failed += 1
            say(f"\nFAILED {trial}: {failure}")
        left = (time.monotonic() - self._started) / self._done * (self._total - self._done)
        line = f"{self._done}/{self._total} trials, {self._failed} failed, about {left / 60:.0f} min left"
        if sys.stdout.isatty():
            say(f"\r{line} ", end="")
        elif self._done % 50 == 0:
            say(line)


async def crash_matrix(database_url: str, *, shard: tuple[int, int], passed: set[str]) -> Outcome:
    """Run the trials of a shard that have not passed yet."""
    number, shards = shard
    async with crashes(database_url) as running:
        trials = [trial for trial in (await every_trial(running))[number - 1 :: shards] if str(trial) not in passed]
        say(f"{len(trials)} trials, {len(passed)} passed before")
        return await run_trials(running, trials, done=Progress(len(trials)).tell)


def main() -> int:
    """Run the shard and print what it showed."""
    parser = argparse.ArgumentParser(prog="make soak")
    parser.add_argument("--only", choices=["crash"], default="crash")
    parser.add_argument("--shard", default="1/1", help="the part of the matrix to run, as 1/4")
    parser.add_argument("--again", action="store_true", help="forget what passed before")
    arguments = parser.parse_args()
    number, shards = (int(part) for part in arguments.shard.split("/"))
    PASSED.parent.mkdir(parents=True, exist_ok=True)
    if arguments.again:
        PASSED.unlink(missing_ok=True)
    passed = set(PASSED.read_text(encoding="utf-8").split()) if PASSED.exists() else set()
    server = PostgresServer(wheel_programs())
    server.create()
    server.start()
    started = time.monotonic()
    try:
        url = server.new_database()
        migrate(url)
        outcome = asyncio.run(crash_matrix(url, shard=(number, shards), passed=passed))
    finally:
        server.remove()
    places = len(outcome.places) - ("survived" in outcome.places)
    say(
        f"\ncrash matrix, shard {number}/{shards}: {outcome.deaths} processes killed at {places} lines of the service, "
        f"{outcome.places['survived']} requests ended before their point, {len(outcome.failures)} failed, "
        f"{(time.monotonic() - started) / 60:.1f} min"
    )
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())

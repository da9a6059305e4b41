"""`make soak`: histories, fifty kills under requests and under deliveries, a million commits in the feed, redactions,
two thousand slow clients, ten thousand changes of subscriptions, MariaDB, the crash matrix.

The matrix and the redactions are resumable, and the matrix runs in shards.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from tests.redacting import KINDS, PLACES, survivors
from tests.servers.mariadb import DURABLE as MARIADB_DURABLE
from tests.servers.mariadb import MariaDBServer
from tests.servers.postgres import DURABLE, PostgresServer, wheel_programs
from tests.servers.stack import migrate
from tests.soak.crash import crashes
from tests.soak.deliveries import siege
from tests.soak.feed import run_trial
from tests.soak.matrix import Outcome, every_trial, run_trials
from tests.soak.slow import POD_BYTES, SLOW_KINDS, besieged, quantile
from tests.soak.storm import storm

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from tests.soak.crash import Trial

Server: TypeAlias = PostgresServer | MariaDBServer
Chosen = TypeVar("Chosen", bound=Server)
say = functools.partial(print, flush=True)
PASSED = Path(".cache/soak/crash-passed.txt")
PASSED_MARIADB = Path(".cache/soak/crash-mariadb-passed.txt")
PASSED_REDACTIONS = Path(".cache/soak/redaction-passed.txt")
HOSTILE = ("tests/integration/test_hostile_values.py", "tests/contract/test_openapi.py")
CHANGES = "tests/unit/simulator/test_proration.py"
PROPERTIES = (
    "tests/integration/test_order_independence.py",
    "tests/integration/test_idempotency_machine.py",
    "tests/integration/test_no_second_subscription.py",
    "tests/integration/test_mirror_by_reference.py",
)


class Progress:
    """Remembers what passed and says where the run is."""

    def __init__(self, total: int, past: Path) -> None:
        self._total = total
        self._done = 0
        self._failed = 0
        self._started = time.monotonic()
        self._file = past.open("a", encoding="utf-8")

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


async def crash_matrix(database_url: str, *, shard: tuple[int, int], passed: set[str], past: Path) -> Outcome:
    """Run the trials of a shard that have not passed yet."""
    number, shards = shard
    async with crashes(database_url) as running:
        trials = [trial for trial in (await every_trial(running))[number - 1 :: shards] if str(trial) not in passed]
        say(f"{len(trials)} trials, {len(passed)} passed before")
        return await run_trials(running, trials, done=Progress(len(trials), past).tell)


async def kill_storm(server: Server, database_url: str, kills: int) -> dict[str, Any]:
    """Make a storm and return its books."""
    with tempfile.TemporaryDirectory(prefix="lean-payments-storm-") as folder:
        chance = random.SystemRandom().randrange(2**32)
        async with storm(server, database_url, Path(folder), seed_of_chance=chance) as running:
            say(f"storm of {kills} kills")
            await running.rage(kills)
            books: dict[str, Any] = await running.books()
            return books


def run_kills(
    killing: Callable[[Chosen, str, int], Coroutine[None, None, dict[str, Any]]], kills: int, *, on: Chosen
) -> bool:
    """Kill on a durable server and print the books; False when they do not agree."""
    with serving(on) as (server, url):
        books = asyncio.run(killing(server, url, kills))
    for name, found in books.items():
        say(f"{name}: {len(found) if isinstance(found, list) else found}")
    return not any(found for found in books.values() if isinstance(found, list))


async def kill_siege(server: PostgresServer, database_url: str, kills: int) -> dict[str, Any]:
    """Kill workers and PostgreSQL while webhooks are sent, and return the books."""
    with tempfile.TemporaryDirectory(prefix="lean-payments-deliveries-") as folder:
        chance = random.SystemRandom().randrange(2**32)
        async with siege(server, database_url, Path(folder), seed_of_chance=chance) as running:
            say(f"deliveries under {kills} kills")
            await running.rage(kills)
            return await running.books()


def run_redactions(examples: int, *, again: bool) -> bool:
    """Redact so many generated values of each kind in each place; False when something of one is left."""
    passed = passed_before(PASSED_REDACTIONS, again=again)
    kinds = [kind for kind in KINDS if f"{examples} {kind}" not in passed]
    say(f"{examples} values of each of {len(kinds)} kinds in each of {len(PLACES)} places, {len(passed)} passed before")
    left = 0
    for kind in kinds:
        found = list(survivors(kind, examples=examples, seed=examples))
        for one in found[:100]:
            say(one)
        left += len(found)
        if not found:
            with PASSED_REDACTIONS.open("a", encoding="utf-8") as file:
                file.write(f"{examples} {kind}\n")
    say(f"redaction: {left} of {examples * len(kinds) * len(PLACES)} left something")
    return not left


def passed_before(path: Path, *, again: bool) -> set[str]:
    """Return the lines of a file of what passed; forget them first if all of it is to run again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if again:
        path.unlink(missing_ok=True)
    return set(path.read_text(encoding="utf-8").splitlines()) if path.exists() else set()


def run_slow(clients: int) -> bool:
    """Besiege the service with slow clients of four kinds and print what came of it; False when it did not hold."""
    each = clients // len(SLOW_KINDS)
    with (
        tempfile.TemporaryDirectory(prefix="lean-payments-slow-") as folder,
        besieged(Path(folder), each=each) as (siege, pod, server),
    ):
        outcome = asyncio.run(siege.run(alone_seconds=20, limit_seconds=180, workers=4))
        peak = pod.peak(server.pid)
    alone, beside = (quantile(seconds, 0.99) * 1000 for seconds in (outcome.alone, outcome.beside))
    say(f"{each} clients of each kind; gone {dict(outcome.gone)}, the last after {outcome.longest}")
    say(f"answered {dict(outcome.answers)}; cut {outcome.cut}")
    say(f"good requests {dict(+outcome.good)}; p99 {alone:.1f} ms alone, {beside:.1f} ms beside")
    limited = "by a control group" if pod.limited else "by nothing here"
    say(f"memory {peak / 2**20:.0f} MiB of {POD_BYTES / 2**20:.0f}, limited {limited}")
    held = set(outcome.gone.values()) == {each} and set(+outcome.good) == {200}
    return held and peak < POD_BYTES and beside <= 2 * alone


def run_histories(examples: int) -> bool:
    """Run the property tests on so many random histories instead of their few; False when one fails."""
    say(f"{examples} histories for each property")
    environ = os.environ | {"PAYMENTS_TEST_HISTORIES": str(examples)}
    command = [sys.executable, "-m", "pytest", "-q", "--timeout=3600", "--numprocesses=2", *PROPERTIES]
    return subprocess.run(command, env=environ, check=False).returncode == 0


def run_hostile(examples: int) -> bool:
    """Send every hostile value to every place of every route, and so many made-up requests to each operation."""
    say(f"every hostile value in every place, {examples} made-up requests for each operation")
    environ = os.environ | {"PAYMENTS_TEST_HOSTILE": "all", "PAYMENTS_TEST_EXAMPLES": str(examples)}
    command = [sys.executable, "-m", "pytest", "-q", "--timeout=3600", *HOSTILE]
    return subprocess.run(command, env=environ, check=False).returncode == 0


def run_changes(examples: int) -> bool:
    """Preview and make so many random changes of subscriptions; False when one is not invoiced as it was previewed."""
    say(f"{examples} random changes of subscriptions: previewed is invoiced, and what a second calculator says")
    environ = os.environ | {"PAYMENTS_TEST_CHANGES": str(examples)}
    command = [sys.executable, "-m", "pytest", "-q", "--timeout=3600", "-k", "previewed", CHANGES]
    return subprocess.run(command, env=environ, check=False).returncode == 0


def run_mariadb(kills: int, *, again: bool) -> bool:
    """Run on MariaDB every scenario that takes a database, a storm and the crash matrix."""
    scenarios = run_scenarios()
    storms = run_kills(kill_storm, kills, on=MariaDBServer(settings=MARIADB_DURABLE))
    return run_matrix(shard=(1, 1), again=again, on=MariaDBServer(), past=PASSED_MARIADB) and storms and scenarios


def run_scenarios() -> bool:
    """Run every scenario that takes a database on MariaDB, too, of which a sample runs with the tests."""
    say("every scenario on MariaDB")
    environ = os.environ | {"PAYMENTS_TEST_DATABASES": "all"}
    command = [sys.executable, "-m", "pytest", "-q", "--numprocesses=2", "-k", "mariadb", "tests/integration"]
    return subprocess.run(command, env=environ, check=False).returncode == 0


def run_matrix(*, shard: tuple[int, int], again: bool, on: Server | None = None, past: Path = PASSED) -> bool:
    """Run a shard of the crash matrix, on PostgreSQL unless told; False when a trial failed. `past`: what passed."""
    passed = passed_before(past, again=again)
    started = time.monotonic()
    with serving(on or PostgresServer(wheel_programs())) as (_, url):
        outcome = asyncio.run(crash_matrix(url, shard=shard, passed=passed, past=past))
    places = len(outcome.places) - ("survived" in outcome.places)
    say(
        f"\ncrash matrix, shard {shard[0]}/{shard[1]}: "
        f"{outcome.deaths} processes killed at {places} lines of the service, "
        f"{outcome.places['survived']} requests ended before their point, {len(outcome.failures)} failed, "
        f"{(time.monotonic() - started) / 60:.1f} min"
    )
    return not outcome.failures


def durable() -> PostgresServer:
    """Return a server to kill."""
    return PostgresServer(wheel_programs(), settings=DURABLE)


@contextlib.contextmanager
def serving(server: Chosen) -> Iterator[tuple[Chosen, str]]:
    """Run a server with a migrated database."""
    server.create()
    server.start()
    try:
        url = server.new_database()
        migrate(url)
        yield server, url
    finally:
        server.remove()


def run_feed(commits: int) -> bool:
    """Number so many commits; False when a number is missing, stands twice or is out of order."""
    with serving(PostgresServer(wheel_programs())) as (_, url):
        return run_trial(url, commits=commits, longest=20.0, say=say)


PROOFS: Final[dict[str, Callable[[argparse.Namespace], bool]]] = {
    "histories": lambda given: run_histories(given.histories),
    "storm": lambda given: run_kills(kill_storm, given.kills, on=durable()),
    "deliveries": lambda given: run_kills(kill_siege, given.kills, on=durable()),
    "feed": lambda given: run_feed(given.commits),
    "redaction": lambda given: run_redactions(given.values, again=given.again),
    "slow": lambda given: run_slow(given.clients),
    "changes": lambda given: run_changes(given.changes),
    "mariadb": lambda given: run_mariadb(given.kills, again=given.again),
    "hostile": lambda given: run_hostile(given.values // 50),
}
"""In their order; the matrix comes last, in shards."""


def main() -> int:
    """Run the histories and the storm, then the shard of the matrix."""
    parser = argparse.ArgumentParser(prog="make soak")
    parser.add_argument("--only", choices=[*PROOFS, "crash"], help="one of them")
    parser.add_argument("--shard", default="1/1", help="the part of the matrix to run, as 1/4")
    parser.add_argument("--again", action="store_true", help="forget what passed before")
    parser.add_argument("--kills", type=int, default=50, help="of the storm, and of the deliveries")
    parser.add_argument("--commits", type=int, default=1_000_000, help="of the feed")
    parser.add_argument("--values", type=int, default=10_000, help="of each kind in each place that are redacted")
    parser.add_argument("--changes", type=int, default=10_000, help="of subscriptions that are previewed and made")
    parser.add_argument("--histories", type=int, default=300, help="for each property")
    parser.add_argument("--clients", type=int, default=2000, help="slow ones")
    arguments = parser.parse_args()
    number, shards = (int(part) for part in arguments.shard.split("/"))
    unsharded = tuple(PROOFS) if number == 1 else ()
    chosen = (arguments.only,) if arguments.only else (*unsharded, "crash")
    held = [PROOFS[name](arguments) for name in chosen if name in PROOFS]
    if "crash" in chosen:
        held.append(run_matrix(shard=(number, shards), again=arguments.again))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Plans `.ci/run` by the clock: what a change can break first, and nothing begun that CI's 90 minutes would cut off.

1. The programs that every tier needs. 2. All tiers but the cluster's, whole. 3. The add-ons' programs, as far as the
clock allows; what stays unbuilt is named in `CI_WITHOUT`, and tests that need it are skipped instead of failed.
4. The cluster tier, ordered and cut by `tests/ci/clock.py`. `make test` runs everything, whatever the hour.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.ci.clock import ROOT, UNTIL_MINUTE, minute
from tests.ci.order import affordable
from tests.cluster.node import programs

if TYPE_CHECKING:
    from collections.abc import Sequence

KEPT_FOR_TESTS = 12.0
"""Minutes of the cluster tier that building another add-on must leave."""


def say(text: str) -> None:
    """Print at once, in order with what the steps print."""
    sys.stdout.write(f"== minute {minute():.0f}: {text}\n")
    sys.stdout.flush()


def step(*command: str, environment: dict[str, str] | None = None) -> int:
    """Run one command and return its exit status."""
    say(" ".join(command))
    started = time.monotonic()
    code = subprocess.run(command, cwd=ROOT, env=os.environ | (environment or {}), check=False).returncode
    say(f"took {time.monotonic() - started:.0f} s, exit status {code}")
    return code


def build(names: Sequence[str], *, slowness: float) -> list[str]:
    """Build the add-ons' programs that the clock allows, and return the names of those left out.

    Args:
        names: of the programs, the most wanted first.
        slowness: how many times longer than their table says programs took here.
    """
    left_out = []
    for name in names:
        program = programs.PROGRAMS[name]
        if not programs.missing([program]):
            continue
        if affordable(program.minutes * slowness, now=minute(), until=UNTIL_MINUTE - KEPT_FOR_TESTS):
            step(sys.executable, "-m", "tests.cluster.node", "tools", name)
        if programs.missing([program]):
            left_out.append(name)
    return left_out


def build_core() -> tuple[int, float]:
    """Build what every tier needs; return the exit status, and how many times longer than their table says it took."""
    promised = 60 * sum(program.minutes for program in programs.missing([*programs.CORE, *programs.CHECKERS]))
    started = time.monotonic()
    code = step("make", "cluster-tools", "PROGRAMS=core checkers")
    return code, max(1.0, (time.monotonic() - started) / promised) if promised else 1.0


def main() -> int:
    """Run everything that there is time for; the exit status of the first step that failed."""
    os.environ.setdefault("CI_STARTED", str(time.time()))
    code, slowness = build_core()
    if code := code or step("make", "bench-smoke") or step("make", "test-local"):
        return code
    left_out = build([program.name for program in programs.ADDONS], slowness=slowness)
    if left_out:
        say(f"no time to build {', '.join(left_out)}: tests that need these are skipped this time")
    return step("make", "test-cluster", "OPTIONS=-p tests.ci.clock", environment={"CI_WITHOUT": ",".join(left_out)})


if __name__ == "__main__":
    sys.exit(main())

"""The status may be lost: what is done does not depend on it, and every reader of it is known with its reason."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.operator.world import SOURCE, World

import payment_operator

if TYPE_CHECKING:
    from collections.abc import Callable

    from payment_operator.model.actions import Action

SECOND = "registry/payments:2"
FOLDER = Path(payment_operator.__path__[0])
READERS = {
    "decide/status/report.py": "since when a condition holds; nothing is written when nothing has changed",
    "decide/status/faults.py": "an Event once",
    "decide/rotation/api_key.py": "an Event once",
    "decide/rotation/webhook/steps.py": "an Event once",
    "decide/release/revisions.py": "the number of a revision whose record somebody deleted",
    "observe/credentials.py": "verdict and account of an API key: a restart asks Stripe no second time",
    "runtime/reconciler.py": "written only when it has changed",
}


def test_whoever_reads_the_status_is_known_with_the_reason() -> None:
    reads = re.compile(r"\b(?:observed|state)\.status\b")
    texts = {str(path.relative_to(FOLDER)): path.read_text() for path in FOLDER.rglob("*.py") if path.is_file()}
    found = {name for name, text in texts.items() if reads.search(text) and not name.startswith("plugin/")}
    assert found == READERS.keys()


def release(world: World) -> None:
    world.change(image=SECOND)


def rotate_the_key(world: World) -> None:
    world.source = SOURCE | {"STRIPE_SECRET_KEY": "sk_test_2"}


def rotate_the_password(world: World) -> None:
    world.source = SOURCE | {"DATABASE_URL": "postgresql://app:other-word@db/payments"}


def refuse_the_key(world: World) -> None:
    world.verdicts["sk_test_2"] = ("Refused", "OtherAccount")
    rotate_the_key(world)


def fail(world: World) -> None:
    world.behave(SECOND).starts = False
    release(world)


def roll_back(world: World) -> None:
    world.behave(SECOND).breach = "5 % of answers are 5xx"
    release(world)


def done(change: Callable[[World], None], *, lost: bool) -> list[list[Action]]:
    """What each pass does, less the Events."""
    world = World.serving()
    change(world)
    passes = []
    for _ in range(45):
        if lost:
            world.status = {}
        decision = world.operate()
        passes.append(list(decision.actions))
        world.progress()
        world.now += timedelta(seconds=15)
    return passes


@pytest.mark.parametrize("change", [release, fail, roll_back, rotate_the_key, refuse_the_key, rotate_the_password])
def test_a_status_that_is_lost_before_every_pass_changes_nothing_that_is_done(change: Callable[[World], None]) -> None:
    kept = done(change, lost=False)
    assert sum(map(len, kept)) > 0
    assert done(change, lost=True) == kept

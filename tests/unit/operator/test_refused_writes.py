"""What the API server refuses is tried again less and less often, and at once when a person says so."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.unit.operator.driven import KEY, Driven, Store
from tests.unit.operator.world import World

from payment_operator import names
from payment_operator.errors import ApiError, OperatorError, Refused
from payment_operator.model.actions import Delete, Patch
from payment_operator.model.holds import LONGEST_REFUSED_SECONDS, write_of
from payment_operator.runtime.condition_metrics import failing_environments, measure_conditions

if TYPE_CHECKING:
    from collections.abc import Iterator
NEW = "registry/payments:2"
QUOTA = "exceeded quota: team, requested: count/controllerrevisions.apps=1"
HOUR = 120
"""Passes, one every thirty seconds, as without any event."""
KINDS = [
    ("create", "ControllerRevision"),
    ("patch", "ControllerRevision"),
    ("apply", "Service"),
    ("patch", "Service"),
    ("apply", "ConfigMap"),
    ("apply", "Deployment"),
    ("apply", "PodDisruptionBudget"),
    ("create", "Job"),
    ("delete", "Deployment"),
    ("patch", names.KIND),
    ("patch", names.REQUEST_KIND),
]


class Denying:
    """An API server that refuses one verb of one kind while it is told to."""

    def __init__(self, verb: str, kind: str, error: OperatorError | None = None) -> None:
        self.world, self.on, self.what = World(), False, (verb, kind)
        self.error = error or Refused(403, "Forbidden", QUOTA)
        self.driven = Driven(self.world, store=Store(self.world, self._refuse))

    def _refuse(self, verb: str, kind: str, _: str) -> OperatorError | None:
        return self.error if self.on and (verb, kind) == self.what else None

    async def release(self, *, deny: bool = True) -> None:
        assert not await self.driven.passes(40)
        self.on = deny
        self.driven.store.calls.clear()
        self.world.change(image=NEW)

    def tries(self) -> Counter[str]:
        return Counter(name for verb, kind, name in self.driven.store.calls if (verb, kind) == self.what)


@pytest.fixture(autouse=True)
def _gone_afterwards() -> Iterator[None]:
    yield
    measure_conditions(KEY, None)


@pytest.mark.parametrize(("verb", "kind"), KINDS)
async def test_no_write_that_is_refused_is_sent_more_than_some_times_an_hour(verb: str, kind: str) -> None:
    denying = Denying(verb, kind)
    await denying.release()
    denying.world.ask("promote")
    await denying.driven.passes(HOUR, seconds=30)
    tries = denying.tries()
    assert tries, "nothing was refused"
    assert max(tries.values()) <= 40, "two contents of one object, each twenty times at most"


async def test_a_busy_api_server_is_asked_less_and_less_often() -> None:
    denying = Denying("create", "ControllerRevision", ApiError(429, "TooManyRequests", "try later"))
    await denying.release()
    await denying.driven.passes(HOUR, seconds=30)
    assert 5 < denying.tries().total() <= 20


async def test_a_refused_revision_is_told_once_and_keeps_nothing_back() -> None:
    denying = Denying("create", "ControllerRevision")
    world, driven = denying.world, denying.driven
    await denying.release()
    assert not await driven.passes(2)
    since = world.conditions()["Failing"]["lastTransitionTime"]
    assert not await driven.passes(HOUR, seconds=30)
    failing = world.conditions()["Failing"]
    assert (failing["status"], failing["reason"]) == ("True", "WriteRefused")
    for said in (QUOTA, "every 300 s", "kubectl payments retry shop"):
        assert said in failing["message"]
    assert failing["lastTransitionTime"] == since, "since when"
    assert len(driven.told("WriteRefused")) == 1
    assert failing_environments() == ["test/shop"]
    assert not world.status.get("failed"), "nothing has begun"
    status = dict(world.status)
    await driven.passes(20, seconds=30)
    assert world.status == status, "nothing is written while nothing changes"
    gone = next(key for key in world.objects if key[0] == "Deployment")
    world.remove(gone)
    await driven.passes(1)
    assert gone in world.objects, "what serves is looked after in every pass"
    denying.on = False
    await driven.passes(int(LONGEST_REFUSED_SECONDS / 5) + 60)
    assert world.active() == NEW, "without anybody's doing"


async def test_retry_sends_at_once_what_was_refused() -> None:
    denying = Denying("create", "ControllerRevision")
    world, driven = denying.world, denying.driven
    await denying.release()
    await driven.passes(HOUR, seconds=30)
    denying.on = False
    await driven.passes(3, seconds=1)
    assert not denying.tries().total() > 20
    before = denying.tries().total()
    world.ask("retry")
    await driven.passes(2, seconds=1)
    assert denying.tries().total() == before + 1
    assert world.answer()["state"] == "Done"
    assert "ControllerRevision shop-" in world.answer()["message"]
    await driven.passes(60)
    assert world.active() == NEW
    world.ask("retry")
    await driven.passes(2)
    assert world.answer()["state"] == "Refused", "there is nothing to try again"


async def test_a_status_that_is_refused_is_not_sent_in_every_pass() -> None:
    denying = Denying("patch", names.KIND)
    await denying.release()
    died = await denying.driven.passes(HOUR, seconds=30)
    assert denying.tries().total() <= 20
    assert QUOTA in str(died[-1])
    assert failing_environments() == ["test/shop"]
    assert denying.world.active() == NEW, "the release went on"


def test_another_write_to_the_same_object_is_not_held_back() -> None:
    def patch(to: str, at: str, version: str) -> Patch:
        test = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
        return Patch("Service", "shop-api", (test, {"op": "replace", "path": "/spec", "value": f"{to} since {at}"}))

    first = patch("green", "2026-11-25T00:00:00Z", "1")
    assert write_of(first) == write_of(patch("green", "2026-11-25T00:10:30Z", "7"))
    assert write_of(first) != write_of(patch("blue", "2026-11-25T00:00:00Z", "1"))
    assert write_of(first) != write_of(Delete("Service", "shop-api", "uid"))

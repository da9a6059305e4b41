"""Two environments with one database: the second is held with the reason, the first goes on, a claim frees the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.operator.driven import Driven
from tests.unit.operator.world import SOURCE, World

from payment_operator.resources.metadata import Owner

if TYPE_CHECKING:
    from tests.unit.operator.driven import Manifest

OTHER = Owner("store", "elsewhere", "uid-store")
NEW = "registry/payments:2"
ADDRESS = SOURCE["DATABASE_URL"]
CONTRACT = [{"number": 4, "phase": "contract", "summary": "drops a column"}]


@pytest.fixture
async def first() -> Driven:
    """An environment that serves."""
    driven = Driven(World())
    assert not await driven.passes(80)
    assert driven.world.taken == {ADDRESS: "test/shop"}
    return driven


def beside(first: Driven) -> Driven:
    """Another environment with the database of the first one."""
    return Driven(World(owner=OTHER, taken=first.world.taken))


def stalled(driven: Driven) -> tuple[str, str, str]:
    found = driven.world.conditions()["Stalled"]
    return found["status"], found["reason"], found["message"]


def serving(world: World) -> dict[tuple[str, str], Manifest]:
    return {key: item["spec"] for key, item in world.objects.items() if key[0] in {"Deployment", "Service"}}


async def test_the_second_is_held_with_the_reason_and_has_no_pods(first: Driven) -> None:
    second, before = beside(first), serving(first.world)
    assert not await second.passes(200)
    status, reason, message = stalled(second)
    assert (status, reason) == ("True", "DatabaseTaken")
    assert "test/shop" in message, "whose it is"
    assert [job.split("-")[1] for job in second.world.jobs_made] == ["plan"], "what is refused is not tried again"
    assert not [key for key in second.world.objects if key[0] == "Deployment"]
    assert second.world.conditions()["Ready"]["status"] == "False"
    assert len(second.told("ReleaseFailed")) == 1
    assert not await first.passes(5)
    assert serving(first.world) == before
    assert first.world.conditions()["Ready"]["status"] == "True"


async def test_the_first_goes_on_releasing_with_a_contract_while_the_second_is_held(first: Driven) -> None:
    second = beside(first)
    assert not await second.passes(60)
    first.world.behave(NEW).plan |= {"pending": CONTRACT, "runnable": []}
    first.world.change(image=NEW)
    assert not await first.passes(300)
    assert first.world.active() == NEW
    assert [job for job in first.world.jobs_made if "-contract-" in job]
    assert not second.world.populated(), "under whose pods the column would be dropped"


async def test_a_claim_frees_the_way_and_holds_the_former_ones_next_release_alone(first: Driven) -> None:
    second = beside(first)
    assert not await second.passes(60)
    first.world.taken[ADDRESS] = "elsewhere/store"  # payments database claim, in a copy of the refused Job's pod
    second.world.ask("retry")
    assert not await second.passes(80)
    assert second.world.conditions()["Ready"]["status"] == "True"
    before = serving(first.world)
    assert not await first.passes(5)
    assert first.world.conditions()["Ready"]["status"] == "True", "what serves is not asked whose the database is"
    first.world.change(image=NEW)
    assert not await first.passes(60)
    assert stalled(first)[:2] == ("True", "DatabaseTaken")
    assert first.world.conditions()["Available"]["status"] == "True"
    assert serving(first.world) == before
    gone = next(key for key in first.world.objects if key[0] == "Deployment")
    first.world.remove(gone)
    assert not await first.passes(3)
    assert gone in first.world.objects, "upkeep of what serves"


async def test_where_nothing_migrates_the_smoke_is_refused_once_and_nothing_gets_traffic(first: Driven) -> None:
    second = beside(first)
    second.world.change(migrations={"mode": "Disabled"})
    assert not await second.passes(120)
    assert stalled(second)[:2] == ("True", "DatabaseTaken")
    assert [job.split("-")[1] for job in second.world.jobs_made] == ["smoke"]
    assert not second.world.active()


async def test_a_contract_in_a_database_that_was_claimed_meanwhile_waits_for_a_person(first: Driven) -> None:
    world = first.world
    world.behave(NEW).plan |= {"pending": CONTRACT, "runnable": []}
    world.change(image=NEW)
    while world.active() != NEW:
        assert not await first.passes(1)
    world.taken[ADDRESS] = "elsewhere/store"
    assert not await first.passes(200)
    assert stalled(first)[:2] == ("True", "ContractFailed")
    assert "elsewhere/store" in stalled(first)[2]
    assert world.active() == NEW
    assert len([job for job in world.jobs_made if "-contract-" in job]) == 1

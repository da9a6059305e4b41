"""A deletion that nothing told of, and that no list shows, is found all the same: nobody's data stay for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.servers.laboratory import Laboratory, laboratory

from payment_service.reconcile import absence, drift
from payment_service.storage.cursors import read_cursor
from payment_service.storage.tables import customers
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DAY = 86400
PAGE = 100
"""Of a list (docs.stripe.com/api/pagination)."""


@pytest.fixture
async def lab(database_url: str) -> AsyncIterator[Laboratory]:
    async with laboratory(database_url) as found:
        yield found


async def people(lab: Laboratory, count: int) -> list[str]:
    """Let an account have so many customers, oldest first, and know them here."""
    made = []
    for number in range(count):
        lab.clock.advance(number % 3)
        made.append(lab.simulator.routes.customers.create({"email": f"person{number}@example.com"})["id"])
    lab.clock.advance(40 * DAY)
    await lab.parts.reconciler.run(full=True)
    await lab.settle()
    assert len(await lab.rows(customers)) == count
    return made


async def forget(lab: Laboratory, ids: list[str]) -> None:
    """Delete customers at Stripe, and let more time pass than it remembers events."""
    for stripe_id in ids:
        lab.simulator.routes.customers.delete(lab.simulator.state.objects[stripe_id])
    lab.clock.advance(40 * DAY)


async def deleted(lab: Laboratory) -> set[str]:
    """Return the customers that are deleted here."""
    await lab.settle()
    rows = [row for row in await lab.rows(customers) if row["deleted"]]
    assert all((row["email"], row["address_key"]) == (None, None) for row in rows)
    return {row["stripe_customer_id"] for row in rows}


async def test_a_deletion_that_no_event_tells_is_found_by_the_sweep(lab: Laboratory) -> None:
    made = await people(lab, PAGE + 30)
    gone = [made[0], made[29], made[30], made[70], made[-1]]
    await forget(lab, gone)
    report = await lab.parts.reconciler.run(full=False)
    assert report.drifted["customer"] == len(gone)
    assert await deleted(lab) == set(gone)
    assert (await lab.parts.reconciler.run(full=True)).drifted == {}


async def test_all_of_an_account_may_be_deleted(lab: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(absence, "_FOLLOWING", absence._FOLLOWING.limit(3))
    monkeypatch.setattr(absence, "LIMIT", 3)
    made = await people(lab, 8)
    await forget(lab, made)
    assert (await lab.parts.reconciler.run(full=True, dry_run=True)).drifted["customer"] == len(made)
    assert await deleted(lab) == set()
    await lab.parts.reconciler.run(full=True)
    assert await deleted(lab) == set(made)


async def test_what_a_key_of_another_account_does_not_know_is_no_deletion(
    lab: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absence, "_FOLLOWING", absence._FOLLOWING.limit(3))
    monkeypatch.setattr(absence, "LIMIT", 3)
    for stripe_id in await people(lab, 8):
        del lab.simulator.state.objects[stripe_id]
    lab.clock.advance(40 * DAY)
    await lab.parts.reconciler.run(full=True)
    assert await deleted(lab) == set()


async def test_a_sweep_that_goes_on_in_its_middle_leaves_nobody_out(lab: Laboratory) -> None:
    made = await people(lab, PAGE + 30)
    gone = [made[5], made[29]]  # the one between two pages, once it is left out
    await forget(lab, gone)
    lab.simulator.faults.calls.append(Fault(kind="500_before", path="/v1/customers", count=99, skip=1))
    with pytest.raises(Exception, match="Stripe cannot be reached"):
        await lab.parts.reconciler.run(full=True)
    lab.simulator.faults.clear()
    async with lab.parts.database.read() as connection:
        place = await read_cursor(connection, drift.CURSOR)
    assert place is not None
    assert place["after"] == made[30]
    report = await lab.parts.reconciler.run(full=False)
    assert report.drifted["customer"] == len(gone)
    assert await deleted(lab) == set(gone)

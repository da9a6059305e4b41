"""Every operation of the simulator, driven by the official SDK: the results are the SDK's types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.contract.simulator.driving import read_events
from tests.contract.simulator.recording import running
from tests.contract.simulator.scenario_billing import (
    drive_catalog,
    drive_checkout,
    drive_invoices,
    drive_items,
    drive_subscriptions,
    drive_trials,
)
from tests.contract.simulator.scenario_payments import (
    drive_account,
    drive_customer,
    drive_customer_end,
    drive_endpoints,
    drive_payment_intents,
    drive_refunds_and_disputes,
    drive_setup_intents,
)

if TYPE_CHECKING:
    from tests.contract.simulator.recording import Recorder


async def drive() -> Recorder:
    """Do everything once, and return what was recorded."""
    async with running() as run:
        v1 = run.v1
        await drive_account(v1)
        await drive_catalog(v1)
        customer = await drive_customer(v1)
        await drive_payment_intents(run, customer)
        await drive_setup_intents(v1, customer)
        await drive_refunds_and_disputes(run, customer)
        await drive_endpoints(v1)
        await drive_subscriptions(run, customer)
        for part in (drive_items, drive_invoices, drive_trials, drive_checkout):
            await part(run, customer)
        await drive_customer_end(v1, customer)
        await read_events(v1)
        return run.recorder

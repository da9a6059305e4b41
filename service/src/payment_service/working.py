"""Builds what works in the background: it receives, applies, imports, reconciles and recovers."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from payment_service.customers.erasure import ERASE_SECONDS, Erasure
from payment_service.endpoints.building import build_deliverer
from payment_service.endpoints.deliverer import LOOK_SECONDS, TEND_SECONDS
from payment_service.events.forgetting import forget_events, waits
from payment_service.events.service import Inbox
from payment_service.events.worker import Duty, Worker
from payment_service.feed.sequencer import POLL_SECONDS, TRIM_SECONDS
from payment_service.health.service import VERSION
from payment_service.operations.people import MOVE_SECONDS, Mover
from payment_service.operations.unattended import Unattended
from payment_service.payment_methods.browser_declines import BrowserDeclines
from payment_service.reconcile.importing import CHECK_SECONDS, Importer
from payment_service.reconcile.recovering import STEP_SECONDS, Recovering
from payment_service.reconcile.service import RECONCILE_CHECK_SECONDS, WATCH_SECONDS, Reconciler
from payment_service.storage.notifications import FEED_CHANNEL, Listener
from payment_service.storage.recovery import BEAT_SECONDS
from payment_service.stripe_api.call_budget import StripeBudget

if TYPE_CHECKING:
    from payment_service.billing import Billing
    from payment_service.clock import Clock
    from payment_service.config.settings import Settings
    from payment_service.endpoints.deliverer import Deliverer
    from payment_service.feed.sequencer import Sequencer
    from payment_service.storage.database import Database
    from payment_service.storage.recovery import Recovery
    from payment_service.stripe_api.gateway import StripeGateway


def build_worker(
    settings: Settings,
    database: Database,
    gateway: StripeGateway,
    *,
    billing: Billing,
    recovery: Recovery,
    sequencer: Sequencer,
    clock: Clock,
) -> tuple[Worker, Inbox, Importer, Reconciler, Deliverer]:
    """Build the parts; the worker listens when the database can notify."""
    budget = StripeBudget(database, clock=clock, per_second=settings.work.stripe_calls_per_second)
    woken = asyncio.Event()
    inbox = Inbox(database, clock=clock, settings=settings, wake=woken.set)
    reconciler = Reconciler(
        database,
        gateway,
        budget=budget,
        clock=clock,
        livemode=settings.stripe.livemode,
        seconds=settings.work.reconcile_seconds,
        announce=inbox.announce,
    )
    importer = Importer(database, gateway, budget=budget, clock=clock, livemode=settings.stripe.livemode)
    unattended = Unattended(database, clock=clock, recovery=recovery, settings=settings.work)
    deliverer = build_deliverer(settings, database, version=VERSION, clock=clock)
    duties = (
        Duty(POLL_SECONDS, sequencer.look),
        Duty(TRIM_SECONDS, sequencer.trim),
        Duty(MOVE_SECONDS, Mover(database, clock=clock, settings=settings.work).move_due),
        Duty(ERASE_SECONDS, _erasure(database, clock=clock).run_due),
        Duty(CHECK_SECONDS, importer.run_due),
        Duty(RECONCILE_CHECK_SECONDS, reconciler.run_due),
        Duty(WATCH_SECONDS, reconciler.watch),
        Duty(BEAT_SECONDS, recovery.beat),
        Duty(STEP_SECONDS, Recovering(database, recovery, clock=clock).step),
        *_sending(deliverer, sequencer),
    )
    worker = Worker(
        database,
        gateway,
        budget=budget,
        declines=BrowserDeclines(billing.declines, unattended, clock=clock, livemode=settings.stripe.livemode),
        operations=billing.operations,
        listener=Listener.to(database, settings=settings.database, beside={FEED_CHANNEL: deliverer.wake}),
        clock=clock,
        settings=settings.work,
        woken=woken,
        duties=duties,
    )
    return worker, inbox, importer, reconciler, deliverer


def _sending(deliverer: Deliverer, sequencer: Sequencer) -> tuple[Duty, ...]:
    """Return what sends webhooks, woken by new events of this process."""
    sequencer.on_numbered.append(deliverer.wake)
    return Duty(LOOK_SECONDS, deliverer.look, deliverer.woken), Duty(TEND_SECONDS, deliverer.tend)


def _erasure(database: Database, *, clock: Clock) -> Erasure:
    """Build what removes the traces of customers who were deleted at Stripe."""
    return Erasure(database, steps=(partial(forget_events, clock=clock),), waits=waits, clock=clock)

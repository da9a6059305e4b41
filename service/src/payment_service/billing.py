"""Builds what answers for money: customers, the catalogue, subscriptions, and the operations that change them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from payment_service.catalog.service import Catalog
from payment_service.customers.history import History
from payment_service.customers.selection import Selection
from payment_service.customers.service import KIND as CREATE_CUSTOMER
from payment_service.customers.service import CustomerCreation, Customers
from payment_service.operations.service import Operations
from payment_service.payments.declines import Declines
from payment_service.stripe_api.reads import StripeReads
from payment_service.subscriptions import cancellation, creation
from payment_service.subscriptions.gone import Restart
from payment_service.subscriptions.limits import CreationLimits
from payment_service.subscriptions.placement import Placement
from payment_service.subscriptions.recorder import Recorder
from payment_service.subscriptions.service import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from payment_service.clock import Clock
    from payment_service.config.settings import Settings
    from payment_service.ratelimit.limiter import Limiter
    from payment_service.storage.database import Database
    from payment_service.storage.recovery import Recovery
    from payment_service.stripe_api.gateway import StripeGateway


@dataclass(frozen=True, slots=True, kw_only=True)
class Billing:
    """The parts."""

    operations: Operations
    catalog: Catalog
    customers: Customers
    customer_creation: CustomerCreation
    selection: Selection
    subscriptions: Subscriptions


def build_billing(
    settings: Settings,
    database: Database,
    gateway: StripeGateway,
    *,
    limiter: Limiter,
    recovery: Recovery,
    clock: Clock,
) -> Billing:
    """Build the parts."""
    livemode = settings.stripe.livemode
    reads = StripeReads(limiter, settings.callers)
    selection, customers, customer_creation = _customers(database, gateway, reads=reads, clock=clock, livemode=livemode)
    declines = Declines(limiter, settings.declines, secret_key=settings.secret_key)
    placement = Placement(selection, clock=clock, livemode=livemode)
    catalog = Catalog(database, gateway, reads=reads, clock=clock, livemode=livemode)
    creating = creation.SubscriptionCreation(
        gateway,
        customers,
        placement=placement,
        restart=Restart(selection, placement),
        recorder=Recorder(database, gateway, clock=clock),
        declines=declines,
        catalog=catalog,
        livemode=livemode,
    )
    build = partial(Operations, database, clock=clock, recovery=recovery, settings=settings.work)
    operations = _tied(creating, customer_creation, build=build)
    subscriptions = Subscriptions(
        database,
        operations=operations,
        catalog=catalog,
        customers=customers,
        selection=selection,
        creating=creating,
        limits=CreationLimits(declines, settings.http),
    )
    return Billing(
        operations=operations,
        catalog=catalog,
        customers=customers,
        customer_creation=customer_creation,
        selection=selection,
        subscriptions=subscriptions,
    )


def _tied(
    creating: creation.SubscriptionCreation, customer_creation: CustomerCreation, *, build: Callable[..., Operations]
) -> Operations:
    """Build the operations, and tie them to what drives them, which in turn writes through them."""
    cancelling = cancellation.SubscriptionCancellation(creating.gateway, creating.recorder)
    handlers = {
        creation.KIND: creating.handle,
        cancellation.KIND: cancelling.handle,
        CREATE_CUSTOMER: customer_creation.handle,
    }
    operations = build(handlers=handlers)
    customer_creation.operations = creating.operations = cancelling.operations = operations
    return operations


def _customers(
    database: Database, gateway: StripeGateway, *, reads: StripeReads, clock: Clock, livemode: bool
) -> tuple[Selection, Customers, CustomerCreation]:
    """Build what tells which customer a request is about, and what makes customers."""
    history = History(database, gateway, clock=clock)
    selection = Selection(database, gateway, history=history, clock=clock, livemode=livemode)
    customers = Customers(database, gateway, selection=selection, reads=reads, clock=clock, livemode=livemode)
    return selection, customers, CustomerCreation(customers, database, clock=clock, livemode=livemode)

"""Builds what answers for money: customers, the catalogue, subscriptions, and the operations that change them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from payment_service.catalog.service import Catalog
from payment_service.catalog.stripe_prices import StripePrices
from payment_service.customers.creation import KIND as CREATE_CUSTOMER
from payment_service.customers.creation import CustomerCreation, CustomerCreationStep
from payment_service.customers.history import History
from payment_service.customers.selection import Selection
from payment_service.customers.service import Customers
from payment_service.mirror import customer, payment_method, refund, setup_intent
from payment_service.operations.recorder import ObjectRecorder
from payment_service.operations.service import Operations, driver
from payment_service.operations.steps import Steps
from payment_service.payment_methods import changes, setup_cancellation, setup_intents
from payment_service.payment_methods.listing import Listing
from payment_service.payment_methods.service import PaymentMethods
from payment_service.payments.declines import Declines
from payment_service.payments.limits import CreationLimits
from payment_service.refunds.creation import KIND as CREATE_REFUND
from payment_service.refunds.creation import RefundCreation
from payment_service.stripe_api import calls
from payment_service.stripe_api.reads import StripeReads
from payment_service.subscriptions import cancellation, change, creation_state, update
from payment_service.subscriptions.changing import SubscriptionChanges
from payment_service.subscriptions.creation import SubscriptionCreation
from payment_service.subscriptions.creation_outcomes import CreationOutcomes
from payment_service.subscriptions.creation_preview import CreationPreviews
from payment_service.subscriptions.gone import Restart
from payment_service.subscriptions.placement import Placement
from payment_service.subscriptions.pricing import Seals
from payment_service.subscriptions.recorder import Recorder
from payment_service.subscriptions.service import Subscriptions

if TYPE_CHECKING:
    from payment_service.clock import Clock
    from payment_service.config.settings import Settings
    from payment_service.json_types import JsonObject
    from payment_service.operations.service import Handler
    from payment_service.ratelimit.limiter import Limiter
    from payment_service.storage.database import Database
    from payment_service.storage.recovery import Recovery
    from payment_service.storage.rows import CustomerRow
    from payment_service.stripe_api.gateway import StripeGateway
    from payment_service.stripe_api.reads import Asker


class Billing(NamedTuple):
    """The parts."""

    operations: Operations
    catalog: Catalog
    customers: Customers
    customer_creation: CustomerCreation
    selection: Selection
    payment_methods: PaymentMethods
    declines: Declines
    subscriptions: Subscriptions
    subscription_changes: SubscriptionChanges


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
    livemode, steps = settings.stripe.livemode, Steps(database, clock=clock, settings=settings.work)
    reads, selection = _selection(settings, database, gateway, limiter=limiter, clock=clock)
    customers = Customers(database, gateway, clock=clock, livemode=livemode)
    stripe_prices = StripePrices(database, gateway, clock=clock)
    catalog = Catalog(database, gateway, stripe_prices=stripe_prices, reads=reads, clock=clock, livemode=livemode)
    declines, limits = _limits(settings, limiter)
    placement, recorder = Placement(selection, clock=clock, livemode=livemode), Recorder(database, gateway, clock=clock)
    creating = SubscriptionCreation(
        database,
        gateway,
        customers,
        outcomes=CreationOutcomes(recorder, steps, customers=customers, placement=placement, declines=declines),
        restart=Restart(selection, placement, steps),
        declines=declines,
        stripe_prices=stripe_prices,
        steps=steps,
    )
    handlers = (
        driver(creation_state.KIND, creating.handle)
        | _of_changes(gateway, recorder, steps)
        | driver(CREATE_CUSTOMER, CustomerCreationStep(customers, steps, clock=clock, livemode=livemode).handle)
        | _of_payments(database, gateway, steps, clock=clock, livemode=livemode)
    )
    operations = Operations(database, clock=clock, recovery=recovery, settings=settings.work, handlers=handlers)
    subscriptions = Subscriptions(
        database,
        operations=operations,
        catalog=catalog,
        selection=selection,
        placement=placement,
        limits=limits,
        livemode=livemode,
    )
    listing = Listing(database, gateway, selection=selection, reads=reads, clock=clock, livemode=livemode)
    methods = PaymentMethods(database, operations=operations, listing=listing, limits=limits, livemode=livemode)
    creation = CustomerCreation(operations, clock=clock, livemode=livemode)
    changing = _changing(
        settings, database, gateway, operations, listing, catalog=catalog, reads=reads, limits=limits, clock=clock
    )
    return Billing(operations, catalog, customers, creation, selection, methods, declines, subscriptions, changing)


def _creations(
    gateway: StripeGateway, listing: Listing, *, catalog: Catalog, reads: StripeReads, clock: Clock
) -> CreationPreviews:
    """Build what previews new subscriptions."""

    async def find(customer_id: str | None, reference: str | None, asker: Asker) -> CustomerRow:
        return await listing.find_customer(customer_id, reference, asker=asker)

    return CreationPreviews(gateway, find, catalog=catalog, reads=reads, clock=clock)


def _selection(
    settings: Settings, database: Database, gateway: StripeGateway, *, limiter: Limiter, clock: Clock
) -> tuple[StripeReads, Selection]:
    reads, livemode = StripeReads(limiter, settings.callers), settings.stripe.livemode
    history = History(database, gateway, clock=clock)
    return reads, Selection(database, gateway, reads=reads, history=history, clock=clock, livemode=livemode)


def _of_changes(gateway: StripeGateway, recorder: Recorder, steps: Steps) -> dict[str, Handler]:
    """Return what drives the operations that change or end subscriptions."""
    changing = change.SubscriptionChange(gateway, recorder, steps)
    updating = update.SubscriptionUpdate(gateway, recorder, steps)
    canceling = cancellation.SubscriptionCancellation(gateway, recorder, steps)
    return (
        driver(change.KIND, changing.handle)
        | driver(update.KIND, updating.handle)
        | driver(cancellation.KIND, canceling.handle)
    )


def _changing(
    settings: Settings,
    database: Database,
    gateway: StripeGateway,
    operations: Operations,
    listing: Listing,
    *,
    catalog: Catalog,
    reads: StripeReads,
    limits: CreationLimits,
    clock: Clock,
) -> SubscriptionChanges:
    """Build what previews and changes subscriptions."""
    return SubscriptionChanges(
        database,
        gateway,
        operations=operations,
        catalog=catalog,
        creations=_creations(gateway, listing, catalog=catalog, reads=reads, clock=clock),
        reads=reads,
        limits=limits,
        seals=Seals(settings.secret_key),
        clock=clock,
        livemode=settings.stripe.livemode,
    )


def _of_payments(
    database: Database, gateway: StripeGateway, steps: Steps, *, clock: Clock, livemode: bool
) -> dict[str, Handler]:
    """Return what drives the operations on what is paid with, and on what was paid."""
    methods = _of_payment_methods(database, gateway, steps, clock=clock, livemode=livemode)
    return methods | _of_refunds(database, gateway, steps, clock=clock, livemode=livemode)


def _of_refunds(
    database: Database, gateway: StripeGateway, steps: Steps, *, clock: Clock, livemode: bool
) -> dict[str, Handler]:
    """Return what drives the operations that give money back."""

    async def present(refund_id: str) -> JsonObject:
        return {"livemode": livemode, **await calls.retrieve(gateway, refund.KIND.collection, refund_id)}

    recorder = ObjectRecorder(database, kind=refund.KIND, retrieve=present, clock=clock)
    return driver(CREATE_REFUND, RefundCreation(gateway, recorder, steps).handle)


def _limits(settings: Settings, limiter: Limiter) -> tuple[Declines, CreationLimits]:
    declines = Declines(limiter, settings.declines, secret_key=settings.secret_key)
    return declines, CreationLimits(declines, settings.http)


def _of_payment_methods(
    database: Database, gateway: StripeGateway, steps: Steps, *, clock: Clock, livemode: bool
) -> dict[str, Handler]:
    """Return what drives the operations on payment methods and setup intents."""

    async def method(method_id: str) -> JsonObject:
        return await changes.present(gateway, method_id, livemode=livemode)

    async def payer(customer_id: str) -> JsonObject:
        return {"livemode": livemode, **await calls.retrieve_customer(gateway, customer_id)}

    async def setup(setup_intent_id: str) -> JsonObject:
        return await calls.retrieve(gateway, setup_intent.KIND.collection, setup_intent_id)

    changing = changes.PaymentMethodChanges(
        gateway,
        methods=ObjectRecorder(database, kind=payment_method.KIND, retrieve=method, clock=clock),
        customers=ObjectRecorder(database, kind=customer.KIND, retrieve=payer, clock=clock),
        steps=steps,
    )
    setups = ObjectRecorder(database, kind=setup_intent.KIND, retrieve=setup, clock=clock)
    return (
        driver(setup_intents.KIND, setup_intents.SetupIntentCreation(gateway, setups, steps).handle)
        | driver(setup_cancellation.KIND, setup_cancellation.SetupCancellation(gateway, setups, steps).handle)
        | driver(changes.DETACH, changing.detach)
        | driver(changes.SET_DEFAULT, changing.set_default)
    )

"""The composition root: builds every part once, from the settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from payment_service.access.service import Access
from payment_service.catalog.service import Catalog
from payment_service.customers.service import KIND as CREATE_CUSTOMER
from payment_service.customers.service import CustomerCreation, Customers
from payment_service.health.service import VERSION, Health
from payment_service.idempotency.service import Operations
from payment_service.migrations.support import APPLICATION_SCHEMA
from payment_service.platform.budget import StripeBudget
from payment_service.platform.cache import ReadCache
from payment_service.platform.circuit import Circuit
from payment_service.platform.clock import Clock
from payment_service.platform.database import Database
from payment_service.platform.database import connect as connect_postgresql
from payment_service.platform.drain import DrainState
from payment_service.platform.invalidation import Invalidations
from payment_service.platform.limiter import Limiter, LocalLimiter, RedisLimiter
from payment_service.platform.metrics import BUILD_INFO
from payment_service.platform.notifications import Listener
from payment_service.platform.redis import close as close_redis
from payment_service.platform.redis import connect
from payment_service.platform.stripe_gateway import StripeGateway
from payment_service.platform.tracing import Tracing
from payment_service.reconcile.service import RECONCILE_CHECK_SECONDS, WATCH_SECONDS, Reconciler
from payment_service.subscriptions import cancellation, creation, reading
from payment_service.subscriptions.recording import Recorder
from payment_service.subscriptions.service import Subscriptions
from payment_service.webhooks.service import Inbox
from payment_service.webhooks.worker import Duty, Worker

if TYPE_CHECKING:
    from litestar.types import ASGIApp

    from payment_service.platform.changes import Change
    from payment_service.settings import Settings


@dataclass(slots=True, kw_only=True)
class Parts:
    """Everything that one process holds."""

    settings: Settings
    clock: Clock
    database: Database
    gateway: StripeGateway
    operations: Operations
    catalog: Catalog
    customers: Customers
    customer_creation: CustomerCreation
    subscriptions: Subscriptions
    inbox: Inbox
    worker: Worker
    reconciler: Reconciler
    health: Health
    access: Access
    limiter: Limiter
    cache: ReadCache
    redis: Any
    """The Redis client; None in development."""
    invalidations: Invalidations | None
    tracing: Tracing | None
    drain: DrainState = field(default_factory=DrainState)

    async def close(self) -> None:
        """Close connections."""
        await self.inbox.close()
        await self.gateway.close()
        if self.invalidations is not None:
            await self.invalidations.close()
        if self.redis is not None:
            await close_redis(self.redis)
        await self.database.close()
        if self.tracing is not None:
            self.tracing.close()


def build(settings: Settings, *, clock: Clock | None = None) -> Parts:
    """Build the parts of a process; nothing connects yet."""
    clock = clock or Clock()
    livemode = settings.stripe.livemode
    tracing = Tracing(version=VERSION) if settings.tracing else None
    database, gateway = Database.from_settings(settings.database), StripeGateway(settings.stripe)
    customers = Customers(database, gateway, clock=clock, livemode=livemode)
    customer_creation = CustomerCreation(customers, database, clock=clock, livemode=livemode)
    recorder = Recorder(database, gateway, clock=clock)
    creating = creation.SubscriptionCreation(gateway, customers, recorder=recorder, clock=clock, livemode=livemode)
    BUILD_INFO.labels(VERSION, APPLICATION_SCHEMA).set(1)
    operations = _operations(settings, database=database, clock=clock, creating=creating, customers=customer_creation)
    redis, limiter, invalidations = _redis(settings, database=database)
    catalog = Catalog(database, gateway, clock=clock, livemode=livemode)
    subscriptions = Subscriptions(
        database, operations=operations, catalog=catalog, customers=customers, creating=creating, livemode=livemode
    )
    drain = DrainState()
    worker, inbox, reconciler = _working(settings, database, gateway, operations=operations, clock=clock)
    return Parts(
        settings=settings,
        clock=clock,
        database=database,
        gateway=gateway,
        operations=operations,
        catalog=catalog,
        customers=customers,
        customer_creation=customer_creation,
        subscriptions=subscriptions,
        inbox=inbox,
        reconciler=reconciler,
        worker=worker,
        health=Health(database, gateway, drain=drain, clock=clock, redis=redis),
        access=Access(settings, database, clock=clock, limiter=limiter),
        limiter=limiter,
        cache=ReadCache(invalidations, entries=settings.http.cache_entries),
        redis=redis,
        invalidations=invalidations,
        tracing=tracing,
        drain=drain,
    )


def _redis(settings: Settings, *, database: Database) -> tuple[Any, Limiter, Invalidations | None]:
    """Build what stands on Redis; without it limits hold for this process and nothing is remembered."""
    if not settings.redis_url:
        return None, LocalLimiter(), None
    client, circuit = connect(settings.redis_url), Circuit()
    invalidations = Invalidations(client, circuit=circuit)
    database.on_change = partial(_forget_subscriptions, invalidations)
    return client, RedisLimiter(client, circuit=circuit), invalidations


def _working(
    settings: Settings, database: Database, gateway: StripeGateway, *, operations: Operations, clock: Clock
) -> tuple[Worker, Inbox, Reconciler]:
    """Build what receives, applies and reconciles; the worker listens when the database can notify."""
    budget = StripeBudget(database, clock=clock, per_second=settings.work.stripe_calls_per_second)
    listening = partial(
        connect_postgresql,
        settings.database.url,
        settings=settings.database,
        application_name="payments-listener",
    )
    worker = Worker(
        database,
        gateway,
        budget=budget,
        operations=operations,
        listener=Listener(listening if database.dialect == "postgresql" else None),
        clock=clock,
        settings=settings.work,
    )
    inbox = Inbox(database, clock=clock, settings=settings, wake=worker.wake)
    reconciler = Reconciler(
        database,
        gateway,
        budget=budget,
        clock=clock,
        livemode=settings.stripe.livemode,
        seconds=settings.work.reconcile_seconds,
        announce=inbox.announce,
    )
    worker.duties += (Duty(RECONCILE_CHECK_SECONDS, reconciler.run_due), Duty(WATCH_SECONDS, reconciler.watch))
    return worker, inbox, reconciler


def _forget_subscriptions(invalidations: Invalidations, changed: set[Change]) -> None:
    """Make every process forget the subscriptions that a commit changed."""
    keys = [change.id for change in changed if change.table == reading.TABLE]
    if keys:
        invalidations.tell(keys)


def _operations(
    settings: Settings,
    *,
    database: Database,
    clock: Clock,
    creating: creation.SubscriptionCreation,
    customers: CustomerCreation,
) -> Operations:
    """Build the operations with their handlers, which in turn write through them."""
    cancelling = cancellation.SubscriptionCancellation(creating.gateway, creating.recorder)
    handlers = {
        creation.KIND: creating.handle,
        cancellation.KIND: cancelling.handle,
        CREATE_CUSTOMER: customers.handle,
    }
    operations = Operations(database, clock=clock, settings=settings.work, handlers=handlers)
    customers.operations = creating.operations = cancelling.operations = operations
    return operations


def services(parts: Parts) -> dict[str, Any]:
    """Return what the handlers of the API ask for, by parameter name."""
    from payment_service.idempotency.inspection import OperationInspection  # noqa: PLC0415 - only where the API is
    from payment_service.webhooks.administration import InboxAdministration  # noqa: PLC0415 - as above

    return {
        "subscriptions": parts.subscriptions,
        "customers": parts.customers,
        "customer_creation": parts.customer_creation,
        "catalog": parts.catalog,
        "operations": parts.operations,
        "inbox": parts.inbox,
        "reconciler": parts.reconciler,
        "inbox_administration": InboxAdministration(
            parts.database, clock=parts.clock, livemode=parts.settings.stripe.livemode
        ),
        "operation_inspection": OperationInspection(parts.database, clock=parts.clock),
    }


def create_app(parts: Parts) -> ASGIApp:
    """Return the ASGI application of the API port."""
    from payment_service.access.admission import Admission  # noqa: PLC0415 - a worker has no API and need not load it
    from payment_service.api import create_api  # noqa: PLC0415 - as above
    from payment_service.health.routes import LIVE, LIVE_PATH, health_routes  # noqa: PLC0415 - as above
    from payment_service.platform.cors import Cors  # noqa: PLC0415 - as above
    from payment_service.platform.gate import Gate, security_headers  # noqa: PLC0415 - as above
    from payment_service.webhooks.routes import PATH, webhook_route  # noqa: PLC0415 - as above

    http = parts.settings.http
    application: ASGIApp = create_api(parts.settings, services=services(parts))
    application = reading.SubscriptionReads(application, subscriptions=parts.subscriptions, cache=parts.cache)
    application = Admission(application, access=parts.access, limiter=parts.limiter, settings=http)
    if http.allowed_origins:
        application = Cors(application, origins=http.allowed_origins)
    if parts.tracing is not None:
        parts.tracing.watch(parts.database.engine)
        application = parts.tracing.wrap(application)
    routes = {**health_routes(parts.health), PATH: webhook_route(parts.inbox)}
    revision = parts.settings.revision.encode()
    return Gate(
        routes,
        application,
        drain=parts.drain,
        constants={LIVE_PATH: LIVE},
        headers=((b"x-revision", revision),) if revision else (),
        security=security_headers(production=parts.settings.production),
    )

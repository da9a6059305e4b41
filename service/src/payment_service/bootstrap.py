"""The composition root: builds every part once, from the settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from payment_service.access.service import Access
from payment_service.billing import build_billing
from payment_service.caching.cache import ReadCache
from payment_service.caching.circuit_breaker import Circuit
from payment_service.caching.invalidation import Invalidations
from payment_service.caching.redis import close as close_redis
from payment_service.caching.redis import connect
from payment_service.clock import Clock
from payment_service.config.secrets import fingerprint
from payment_service.feed.arrivals import Arrivals
from payment_service.feed.sequencer import Sequencer
from payment_service.health.admin import Sources, admin_app
from payment_service.health.service import VERSION, Health
from payment_service.http.drain import DrainState
from payment_service.migrations.support import APPLICATION_SCHEMA
from payment_service.observability.metrics import BUILD_INFO
from payment_service.observability.tracing import Tracing
from payment_service.ratelimit.in_flight import InFlight
from payment_service.ratelimit.limiter import Limiter, LocalLimiter, RedisLimiter
from payment_service.storage.database import Database
from payment_service.storage.recovery import Recovery
from payment_service.storage.webhook_tables import webhook_endpoints
from payment_service.stripe_api.gateway import StripeGateway
from payment_service.subscriptions import reading
from payment_service.working import build_worker

if TYPE_CHECKING:
    from litestar.types import ASGIApp

    from payment_service.caching.redis import RedisClient
    from payment_service.catalog.service import Catalog
    from payment_service.config.settings import Settings
    from payment_service.customers.creation import CustomerCreation
    from payment_service.customers.selection import Selection
    from payment_service.customers.service import Customers
    from payment_service.endpoints.deliverer import Deliverer
    from payment_service.events.service import Inbox
    from payment_service.events.worker import Worker
    from payment_service.http.gate import Gate
    from payment_service.operations.service import Operations
    from payment_service.payment_methods.service import PaymentMethods
    from payment_service.reconcile.importing import Importer
    from payment_service.reconcile.service import Reconciler
    from payment_service.storage.changed_rows import Change
    from payment_service.subscriptions.changing import SubscriptionChanges
    from payment_service.subscriptions.service import Subscriptions


@dataclass(slots=True, kw_only=True)
class Parts:
    """Everything that one process holds."""

    settings: Settings
    clock: Clock
    database: Database
    gateway: StripeGateway
    operations: Operations
    recovery: Recovery
    catalog: Catalog
    customers: Customers
    customer_creation: CustomerCreation
    selection: Selection
    payment_methods: PaymentMethods
    subscriptions: Subscriptions
    subscription_changes: SubscriptionChanges
    inbox: Inbox
    worker: Worker
    sequencer: Sequencer
    deliverer: Deliverer
    arrivals: Arrivals
    importer: Importer
    reconciler: Reconciler
    health: Health
    access: Access
    limiter: Limiter
    cache: ReadCache
    redis: RedisClient | None
    """The Redis client; None in development."""
    invalidations: Invalidations | None
    tracing: Tracing | None
    drain: DrainState = field(default_factory=DrainState)

    async def close(self) -> None:
        """Close connections."""
        await self.deliverer.close()
        await self.inbox.close()
        await self.arrivals.close()
        await self.sequencer.close()
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
    clock, drain, gateway = clock or Clock(), DrainState(), StripeGateway(settings.stripe)
    redis, limiter, invalidations = _redis(settings)
    database, sequencer = _database(settings, invalidations, clock=clock)
    account, circuit = partial(_account, settings), invalidations.circuit if invalidations else None
    recovery = Recovery(database, clock=clock, redis=redis, circuit=circuit, account=account)
    billing = build_billing(settings, database, gateway, limiter=limiter, recovery=recovery, clock=clock)
    BUILD_INFO.labels(VERSION, APPLICATION_SCHEMA).set(1)
    worker, inbox, importer, reconciler, deliverer = build_worker(
        settings, database, gateway, billing=billing, recovery=recovery, sequencer=sequencer, clock=clock
    )
    return Parts(
        settings=settings,
        clock=clock,
        database=database,
        gateway=gateway,
        operations=billing.operations,
        recovery=recovery,
        catalog=billing.catalog,
        customers=billing.customers,
        customer_creation=billing.customer_creation,
        selection=billing.selection,
        payment_methods=billing.payment_methods,
        subscriptions=billing.subscriptions,
        subscription_changes=billing.subscription_changes,
        inbox=inbox,
        importer=importer,
        reconciler=reconciler,
        worker=worker,
        sequencer=sequencer,
        deliverer=deliverer,
        arrivals=Arrivals(database, sequencer, settings=settings.database, drain=drain),
        health=Health(database, gateway, drain=drain, clock=clock, recovery=recovery, redis=redis, account=account),
        access=Access(settings, database, clock=clock),
        limiter=limiter,
        cache=ReadCache(invalidations, entries=settings.http.cache_entries, share=database.share),
        redis=redis,
        invalidations=invalidations,
        tracing=Tracing(version=VERSION) if settings.tracing else None,
        drain=drain,
    )


def _redis(settings: Settings) -> tuple[RedisClient | None, Limiter, Invalidations | None]:
    """Build what stands on Redis; without it limits hold for this process and nothing is remembered."""
    if not settings.redis_url:
        return None, LocalLimiter(), None
    client, circuit = connect(settings.redis_url), Circuit()
    return client, RedisLimiter(client, circuit=circuit), Invalidations(client, circuit=circuit)


def _account(settings: Settings) -> str:
    """Name Stripe's address and key as they are now, without telling them."""
    return fingerprint(settings.stripe.secret_key.reveal(), salt=settings.stripe.api_base)


def _database(settings: Settings, invalidations: Invalidations | None, *, clock: Clock) -> tuple[Database, Sequencer]:
    """Build the database, and who is told of its commits beside the caches."""

    def changed(changes: set[Change]) -> None:
        sequencer.wake()
        if any(change.table == webhook_endpoints.name for change in changes):
            sequencer.announce()
        if invalidations is not None:
            _forget_subscriptions(invalidations, changes)

    bell = invalidations.client if invalidations else None
    database = Database.from_settings(settings.database, on_change=changed, bell=bell)
    sequencer = Sequencer(database, clock=clock)
    return database, sequencer


def _forget_subscriptions(invalidations: Invalidations, changed: set[Change]) -> None:
    """Make every process forget the subscriptions that a commit changed."""
    keys = [change.id for change in changed if change.table == reading.TABLE]
    if keys:
        invalidations.publish(keys)


def services(parts: Parts) -> dict[str, object]:
    """Return what the handlers of the API ask for, by parameter name."""
    from payment_service.endpoints.building import build_endpoints  # noqa: PLC0415 - as above
    from payment_service.endpoints.people import WebhookDeliveries  # noqa: PLC0415 - as above
    from payment_service.endpoints.replays import WebhookReplays  # noqa: PLC0415 - as above
    from payment_service.events.administration import InboxAdministration  # noqa: PLC0415 - as above
    from payment_service.feed.readers import FeedReaders  # noqa: PLC0415 - as above
    from payment_service.feed.service import Feed  # noqa: PLC0415 - as above
    from payment_service.operations.inspection import OperationInspection  # noqa: PLC0415 - only where the API is
    from payment_service.refunds.service import Refunds  # noqa: PLC0415 - as above

    return {
        "subscriptions": parts.subscriptions,
        "subscription_changes": parts.subscription_changes,
        "customers": parts.customers,
        "payment_methods": parts.payment_methods,
        "refunds": Refunds(parts.operations, livemode=parts.settings.stripe.livemode),
        "customer_creation": parts.customer_creation,
        "catalog": parts.catalog,
        "operations": parts.operations,
        "inbox": parts.inbox,
        "reconciler": parts.reconciler,
        "inbox_administration": InboxAdministration(
            parts.database, clock=parts.clock, livemode=parts.settings.stripe.livemode
        ),
        "feed_readers": FeedReaders(Feed(parts.database, livemode=parts.settings.stripe.livemode), parts.arrivals),
        "webhook_endpoints": build_endpoints(parts.settings, parts.database, clock=parts.clock),
        "webhook_deliveries": WebhookDeliveries(
            parts.database, clock=parts.clock, livemode=parts.settings.stripe.livemode
        ),
        "webhook_replays": WebhookReplays(parts.database, clock=parts.clock, livemode=parts.settings.stripe.livemode),
        "operation_inspection": OperationInspection(parts.database, clock=parts.clock),
    }


def create_app(parts: Parts) -> Gate:
    """Return the ASGI application of the API port.

    Raises:
        UndeclaredRoute: a route does not say who may call it, or not what counts that it changes something.
    """
    from payment_service.access.admission import Admission  # noqa: PLC0415 - a worker has no API and need not load it
    from payment_service.events.routes import webhook_route  # noqa: PLC0415 - as above
    from payment_service.health.routes import LIVE, LIVE_PATH, health_routes, limited  # noqa: PLC0415 - as above
    from payment_service.http.cors import Cors  # noqa: PLC0415 - as above
    from payment_service.http.gate import Gate, security_headers  # noqa: PLC0415 - as above
    from payment_service.http.route_access import PlainRoutes  # noqa: PLC0415 - as above
    from payment_service.http_api import create_api  # noqa: PLC0415 - as above
    from payment_service.ratelimit.limits import parse_networks  # noqa: PLC0415 - as above

    http = parts.settings.http
    in_flight, waiting = (InFlight(parts.settings.callers.requests_in_flight) for _ in range(2))
    admission = Admission(
        access=parts.access, limiter=parts.limiter, in_flight=in_flight, waiting=waiting, settings=http
    )
    api = create_api(parts.settings, services=services(parts), admission=admission.middleware)
    application: ASGIApp = reading.SubscriptionReads(
        api, admission=admission.guard, subscriptions=parts.subscriptions, cache=parts.cache
    )
    application = Cors(application, origins=http.allowed_origins)
    if parts.tracing is not None:
        parts.tracing.watch(parts.database.engine)
        application = parts.tracing.wrap(application)
    health = limited(
        health_routes(parts.health),
        limiter=parts.limiter,
        per_minute=http.health_limit_per_minute,
        proxies=parse_networks(http.trusted_proxies),
    )
    revision = parts.settings.revision.encode()
    return Gate(
        PlainRoutes([*health, webhook_route(parts.inbox)], guard=admission.guard),
        application,
        drain=parts.drain,
        constants={LIVE_PATH: LIVE},
        headers=((b"x-revision", revision),) if revision else (),
        security=security_headers(production=parts.settings.production),
    )


def create_admin(parts: Parts, *, worker: bool) -> ASGIApp:
    """Return the ASGI application of the admin port, of an API or of a worker process."""
    sources = Sources(
        settings=parts.settings,
        health=parts.health,
        drain=parts.drain,
        needs=parts.access.needs,
        verified=parts.inbox.verified,
        worker=parts.worker if worker else None,
    )
    return admin_app(sources)

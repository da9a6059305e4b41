"""Every setting of the service, built once from the environment.

Names: the deployment guide's and ours with the prefix `PAYMENTS_`; durations carry their unit. A secret may come from
a file (`NAME_FILE`), read again when it changes. In development `.env` is read too, and nothing needs to be set.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from payment_service.config.caller_settings import CallerSettings, DeclineSettings, read_callers, read_declines
from payment_service.config.checks import CHECKS, NEEDED, missing
from payment_service.config.delivery_settings import DeliverySettings, read_deliveries
from payment_service.config.environment import EnvironmentReader, read_env_file
from payment_service.config.work_settings import WorkSettings as WorkSettings  # noqa: PLC0414 - imported from here
from payment_service.config.work_settings import read_work
from payment_service.errors import SettingsError
from payment_service.http.door.limits import DoorSettings, read_door

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from payment_service.config.secrets import Secret

STRIPE_API = "https://api.stripe.com"
DEVELOPMENT_DATABASE = "sqlite:///.demo/payments.sqlite3"
DEVELOPMENT_SECRET_KEY = "development-only-key-development-only-key"  # noqa: S105 - refused in production
DEVELOPMENT_STRIPE_KEY = "sk_test_development"
DEVELOPMENT_WEBHOOK_SECRET = "whsec_development"  # noqa: S105 - the in-process simulator's; refused in production


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """PostgreSQL or MariaDB (or SQLite in development)."""

    url: Secret
    """`DATABASE_URL`: `postgresql://user:password@host1,host2:5432/name?sslmode=verify-full`,
    `mariadb://user:password@host1,host2:3306/name?ssl-mode=VERIFY_IDENTITY`, or `sqlite:///file`."""
    replica_url: Secret
    """`DATABASE_REPLICA_URL`: serves reads that may lag; empty: the primary serves them."""
    migration_url: Secret
    """`DATABASE_MIGRATION_URL`: the owner role for `payments migrate`; empty: `DATABASE_URL`."""
    pool_size: int
    """`PAYMENTS_DATABASE_POOL_SIZE`: connections of one process; pods x this must stay below `max_connections`."""
    statement_timeout_seconds: float
    """`PAYMENTS_DATABASE_STATEMENT_TIMEOUT_SECONDS`."""
    lock_timeout_seconds: float
    """`PAYMENTS_DATABASE_LOCK_TIMEOUT_SECONDS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeSettings:
    """Stripe's API and webhooks."""

    secret_key: Secret
    """`STRIPE_SECRET_KEY`: a secret (`sk_`) or restricted (`rk_`) key."""
    webhook_secret: Secret
    """`STRIPE_WEBHOOK_SECRET`: one or several signing secrets, separated by commas; each is accepted."""
    api_base: str
    """`STRIPE_API_BASE`: where Stripe's API is; the simulator in development."""
    mode: str
    """`PAYMENTS_STRIPE_MODE`: `test` or `live`; must match the key's prefix."""
    timeout_seconds: float
    """`PAYMENTS_STRIPE_TIMEOUT_SECONDS`: of one call, connection included."""
    max_connections: int
    """`PAYMENTS_STRIPE_MAX_CONNECTIONS`: of one process."""
    max_retries: int
    """`PAYMENTS_STRIPE_MAX_RETRIES`: further tries of one call after a connection error, 409, 429 or 5xx."""

    @property
    def livemode(self) -> bool:
        """Whether real money moves."""
        return self.mode == "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """The API's and the admin port's HTTP."""

    admin_host: str
    """`PAYMENTS_ADMIN_HOST`."""
    admin_port: int
    """`PAYMENTS_ADMIN_PORT`: 0 switches the admin port off."""
    admin_token: Secret
    """`PAYMENTS_ADMIN_TOKEN`: asked by PUT and /status on the admin port; empty: one is made of `SECRET_KEY`."""
    allowed_origins: tuple[str, ...]
    """`ALLOWED_ORIGINS`: origins that browsers may call from, separated by commas."""
    trusted_proxies: tuple[str, ...]
    """`PAYMENTS_TRUSTED_PROXIES`: networks whose `X-Forwarded-For` is believed."""
    max_body_bytes: int
    """`PAYMENTS_MAX_BODY_BYTES`: of API requests; webhooks have their own limit of 512 KiB. At most 1 MiB: to look for
    card numbers among so many digits keeps a process busy for a second."""
    create_limit_by: str
    """`PAYMENTS_CREATE_LIMIT_BY`: `customer`, for requests with an API key, or `address` for all."""
    create_limit_per_minute: int
    """`PAYMENTS_CREATE_LIMIT_PER_MINUTE`: subscriptions, and apart from them setup intents, begun in any minute for one
    of these; 0: no limit."""
    address_limit_per_minute: int
    """`PAYMENTS_ADDRESS_LIMIT_PER_MINUTE`: API requests without a key, of one address; 0: no limit."""
    key_limit_per_minute: int
    """`PAYMENTS_KEY_LIMIT_PER_MINUTE`: API requests of one API key; 0: no limit."""
    health_limit_per_minute: int
    """`PAYMENTS_HEALTH_LIMIT_PER_MINUTE`: `/health` reports of one client address; 0, as in development: any number."""
    cache_entries: int
    """`PAYMENTS_CACHE_ENTRIES`: answers that one process remembers, about 1 KiB each; 0: no cache."""
    drain_seconds: float
    """`PAYMENTS_DRAIN_SECONDS`: how long a stopping pod goes on serving, after `payments drain` or SIGTERM."""
    require_idempotency_key: bool
    """`PAYMENTS_REQUIRE_IDEMPOTENCY_KEY`: refuse mutating requests without the header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of them."""

    environment: str
    """`ENVIRONMENT`: `development` or `production`."""
    database: DatabaseSettings
    stripe: StripeSettings
    http: HttpSettings
    door: DoorSettings
    callers: CallerSettings
    declines: DeclineSettings
    work: WorkSettings
    deliveries: DeliverySettings
    redis_url: Secret
    """`REDIS_URL`: `rediss://`, `rediss+cluster://`, `rediss+sentinel://`, or `redis…` for plain text; else empty."""
    allow_plaintext: tuple[str, ...]
    """`PAYMENTS_ALLOW_PLAINTEXT`: `database`, `redis`: may be reached unencrypted on another host in production."""
    secret_key: Secret
    """`SECRET_KEY`: values of at least 32 characters; the first signs API keys, each verifies (docs/contracts.md)."""
    log_level: str
    """`LOG_LEVEL`."""
    tracing: bool
    """`PAYMENTS_TRACING`: send spans to the collector that `OTEL_EXPORTER_OTLP_ENDPOINT` names; needs the extra."""
    log_file: str
    """`LOG_FILE`: also log to this file, rotated at 10 MB, ten kept."""
    environment_name: str
    """`PAYMENTS_ENVIRONMENT_NAME`: which environment this is, `namespace/name`; set by the chart and the operator."""
    environment_uid: str
    """`PAYMENTS_ENVIRONMENT_UID`: the UID of its PaymentEnvironment; set by the operator."""
    revision: str
    """`PAYMENTS_REVISION`: the release this process belongs to; set by the operator."""
    fingerprint_salt: str
    """`PAYMENTS_FINGERPRINT_SALT`: of the secrets' fingerprints on the admin port."""
    termination_log: str
    """`PAYMENTS_TERMINATION_LOG`: file that Jobs write their result to."""
    smoke_api_key: Secret
    """`SMOKE_API_KEY`: an API key with the scope `read` that `payments smoke` tries; empty: it tries none."""

    @property
    def production(self) -> bool:
        """Whether the rules of production hold."""
        return self.environment == "production"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, *, needs: Collection[str] = tuple(NEEDED)) -> Settings:
        """Build the settings from `environ` (default: the process's environment).

        `needs` are the secrets that the process uses; the others may be missing: it is given no more than it uses.

        Raises:
            SettingsError: with every problem at once, each naming the setting and the fix.
        """
        environ = dict(os.environ if environ is None else environ)
        if environ.get("ENVIRONMENT", "development") == "development":
            environ = read_env_file(Path(".env")) | environ
        reader = EnvironmentReader(environ)
        settings = _read(reader)
        reader.reject_unknown("PAYMENTS_")
        problems = [*reader.problems, *missing(settings, needs)]
        problems += [problem for check in CHECKS for problem in check(settings)]
        if problems:
            raise SettingsError(problems)
        return settings


def _read(reader: EnvironmentReader) -> Settings:
    environment = reader.choice("ENVIRONMENT", ("development", "production"), "development")
    development = environment == "development"
    return Settings(
        environment=environment,
        database=_read_database(reader, development=development),
        stripe=_read_stripe(reader, development=development),
        http=_read_http(reader, development=development),
        door=read_door(reader),
        callers=read_callers(reader, development=development),
        declines=read_declines(reader, development=development),
        work=read_work(reader),
        deliveries=read_deliveries(reader, development=development),
        redis_url=reader.secret("REDIS_URL"),
        allow_plaintext=reader.items("PAYMENTS_ALLOW_PLAINTEXT"),
        secret_key=reader.secret("SECRET_KEY", DEVELOPMENT_SECRET_KEY if development else ""),
        log_level=reader.choice("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), "INFO"),
        tracing=reader.flag("PAYMENTS_TRACING", default=False),
        log_file=reader.text("LOG_FILE"),
        environment_name=reader.text("PAYMENTS_ENVIRONMENT_NAME"),
        environment_uid=reader.text("PAYMENTS_ENVIRONMENT_UID"),
        revision=reader.text("PAYMENTS_REVISION"),
        fingerprint_salt=reader.text("PAYMENTS_FINGERPRINT_SALT"),
        termination_log=reader.text("PAYMENTS_TERMINATION_LOG"),
        smoke_api_key=reader.secret("SMOKE_API_KEY"),  # no prefix: older images refuse what begins so and is unknown
    )


def _read_database(reader: EnvironmentReader, *, development: bool) -> DatabaseSettings:
    return DatabaseSettings(
        url=reader.secret("DATABASE_URL", DEVELOPMENT_DATABASE if development else ""),
        replica_url=reader.secret("DATABASE_REPLICA_URL"),
        migration_url=reader.secret("DATABASE_MIGRATION_URL"),
        pool_size=reader.integer("PAYMENTS_DATABASE_POOL_SIZE", 8, minimum=2, maximum=200),
        statement_timeout_seconds=reader.number(
            "PAYMENTS_DATABASE_STATEMENT_TIMEOUT_SECONDS", 15, minimum=0.1, maximum=3600
        ),
        lock_timeout_seconds=reader.number("PAYMENTS_DATABASE_LOCK_TIMEOUT_SECONDS", 5, minimum=0.1, maximum=600),
    )


def _read_stripe(reader: EnvironmentReader, *, development: bool) -> StripeSettings:
    return StripeSettings(
        secret_key=reader.secret("STRIPE_SECRET_KEY", DEVELOPMENT_STRIPE_KEY if development else ""),
        webhook_secret=reader.secret("STRIPE_WEBHOOK_SECRET", DEVELOPMENT_WEBHOOK_SECRET if development else ""),
        api_base=reader.text("STRIPE_API_BASE", STRIPE_API).rstrip("/"),
        mode=reader.choice("PAYMENTS_STRIPE_MODE", ("test", "live"), "test" if development else "live"),
        timeout_seconds=reader.number("PAYMENTS_STRIPE_TIMEOUT_SECONDS", 20, minimum=0.1, maximum=80),
        max_connections=reader.integer("PAYMENTS_STRIPE_MAX_CONNECTIONS", 64, minimum=1, maximum=1000),
        max_retries=reader.integer("PAYMENTS_STRIPE_MAX_RETRIES", 2, minimum=0, maximum=10),
    )


def _read_http(reader: EnvironmentReader, *, development: bool) -> HttpSettings:
    return HttpSettings(
        admin_host=reader.text("PAYMENTS_ADMIN_HOST", "::"),  # IPv4 too; a NetworkPolicy guards it
        admin_port=reader.integer("PAYMENTS_ADMIN_PORT", 9090, minimum=0, maximum=65535),
        admin_token=reader.secret("PAYMENTS_ADMIN_TOKEN"),
        allowed_origins=reader.items("ALLOWED_ORIGINS"),
        trusted_proxies=reader.items("PAYMENTS_TRUSTED_PROXIES"),
        max_body_bytes=reader.integer("PAYMENTS_MAX_BODY_BYTES", 65536, minimum=1024, maximum=1_048_576),
        create_limit_by=reader.choice("PAYMENTS_CREATE_LIMIT_BY", ("customer", "address"), "customer"),
        create_limit_per_minute=reader.integer("PAYMENTS_CREATE_LIMIT_PER_MINUTE", 10, minimum=0, maximum=1_000_000),
        address_limit_per_minute=reader.integer(
            "PAYMENTS_ADDRESS_LIMIT_PER_MINUTE", 60_000, minimum=0, maximum=100_000_000
        ),
        key_limit_per_minute=reader.integer("PAYMENTS_KEY_LIMIT_PER_MINUTE", 60_000, minimum=0, maximum=100_000_000),
        health_limit_per_minute=reader.integer(
            "PAYMENTS_HEALTH_LIMIT_PER_MINUTE", 0 if development else 120, minimum=0, maximum=1_000_000
        ),
        cache_entries=reader.integer("PAYMENTS_CACHE_ENTRIES", 10_000, minimum=0, maximum=10_000_000),
        drain_seconds=reader.number("PAYMENTS_DRAIN_SECONDS", 0 if development else 5, minimum=0, maximum=600),
        require_idempotency_key=reader.flag("PAYMENTS_REQUIRE_IDEMPOTENCY_KEY", default=False),
    )

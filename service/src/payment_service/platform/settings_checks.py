"""What makes settings unsafe: each check yields one sentence a problem, naming the setting and the fix."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from payment_service.platform.tracing import available

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from payment_service.settings import Settings

MINIMUM_SECRET_KEY_CHARACTERS: Final = 32
MINIMUM_DISTINCT_CHARACTERS: Final = 8
STRIPE_HOST: Final = "api.stripe.com"
_STRIPE_KEY = re.compile(r"^(?:sk|rk)_(?P<mode>test|live)_\w+$")


def check_stripe_key(settings: Settings) -> Iterator[str]:
    """The key's prefix must match the mode (docs.stripe.com/keys); a live key never meets development or a stand-in."""
    key = settings.stripe.secret_key.reveal()
    if not key:
        yield "STRIPE_SECRET_KEY: missing; set a secret (sk_...) or restricted (rk_...) key of your Stripe account"
        return
    match = _STRIPE_KEY.match(key)
    if match is None:
        yield "STRIPE_SECRET_KEY: not a Stripe key; it begins with sk_test_, sk_live_, rk_test_ or rk_live_"
        return
    mode = match["mode"]
    if mode != settings.stripe.mode:
        yield (
            f"STRIPE_SECRET_KEY: a {mode} key with PAYMENTS_STRIPE_MODE={settings.stripe.mode}; "
            f"use a {settings.stripe.mode} key or set PAYMENTS_STRIPE_MODE={mode}"
        )
    if mode == "live" and not settings.production:
        yield "STRIPE_SECRET_KEY: a live key in development would move real money; use a test key"
    if mode == "live" and urlsplit(settings.stripe.api_base).hostname != STRIPE_HOST:
        yield f"STRIPE_API_BASE: a live key is sent to no other host than {STRIPE_HOST}; remove STRIPE_API_BASE"


def check_stripe_api_base(settings: Settings) -> Iterator[str]:
    """It must be a URL."""
    parts = urlsplit(settings.stripe.api_base)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        yield "STRIPE_API_BASE: not a URL; for example https://api.stripe.com"


def check_webhook_secret(settings: Settings) -> Iterator[str]:
    """An empty signing secret would let anybody sign (docs.stripe.com/webhooks/signature)."""
    secrets = settings.stripe.webhook_secret.parts()
    if not secrets:
        yield "STRIPE_WEBHOOK_SECRET: missing; copy the signing secret (whsec_...) of your webhook endpoint"
    if any(not secret.startswith("whsec_") for secret in secrets):
        yield "STRIPE_WEBHOOK_SECRET: a signing secret begins with whsec_; several are separated by commas"
    if settings.production and "whsec_development" in secrets:
        yield "STRIPE_WEBHOOK_SECRET: the development secret is public; copy the one of your webhook endpoint"


def check_secret_key(settings: Settings) -> Iterator[str]:
    """API keys are only as safe as the key they are hashed under."""
    key = settings.secret_key.reveal()
    if not settings.production:
        return
    if len(key) < MINIMUM_SECRET_KEY_CHARACTERS:
        yield f"SECRET_KEY: needs at least {MINIMUM_SECRET_KEY_CHARACTERS} characters; make one: openssl rand -hex 32"
    elif len(set(key)) < MINIMUM_DISTINCT_CHARACTERS or key.startswith("development-only"):
        yield "SECRET_KEY: too weak; make one: openssl rand -hex 32"


def check_database(settings: Settings) -> Iterator[str]:
    """Production needs PostgreSQL: SQLite serves one process."""
    for name, secret in (
        ("DATABASE_URL", settings.database.url),
        ("DATABASE_REPLICA_URL", settings.database.replica_url),
        ("DATABASE_MIGRATION_URL", settings.database.migration_url),
    ):
        yield from _database_url_problems(name, secret.reveal(), production=settings.production)


def _database_url_problems(name: str, url: str, *, production: bool) -> Iterator[str]:
    if not url:
        if production and name == "DATABASE_URL":
            yield "DATABASE_URL: missing; set postgresql://user:password@host:5432/database"
        return
    scheme = url.partition("://")[0].partition("+")[0]
    if scheme not in {"postgresql", "postgres", "sqlite"}:
        yield f"{name}: the scheme {scheme!r} is not supported; use postgresql://"
    elif production and scheme == "sqlite":
        yield f"{name}: SQLite is for development; set postgresql://user:password@host:5432/database"


def check_redis(settings: Settings) -> Iterator[str]:
    """Production needs Redis: limits and cache invalidation span pods."""
    url = settings.redis_url.reveal()
    if not url:
        if settings.production:
            yield "REDIS_URL: missing; set redis://host:6379/0 (or rediss://, redis+cluster://, redis+sentinel://)"
        return
    if url.partition("://")[0] not in {"redis", "rediss", "redis+cluster", "rediss+cluster", "redis+sentinel"}:
        yield "REDIS_URL: use redis://, rediss://, redis+cluster://, rediss+cluster:// or redis+sentinel://"


def check_allowed_origins(settings: Settings) -> Iterator[str]:
    """A wildcard would let every site call the API from a browser (Fetch standard, CORS protocol)."""
    for origin in settings.http.allowed_origins:
        if origin == "*":
            if settings.production:
                yield "ALLOWED_ORIGINS: * is refused in production; list each origin, for example https://app.example.com"
            continue
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path:
            yield f"ALLOWED_ORIGINS: {origin!r} is not an origin; write scheme and host, for example https://app.example.com"


def check_trusted_proxies(settings: Settings) -> Iterator[str]:
    """Each must be a network."""
    for network in settings.http.trusted_proxies:
        try:
            ip_network(network, strict=False)
        except ValueError:
            yield f"PAYMENTS_TRUSTED_PROXIES: {network!r} is not a network; write for example 10.0.0.0/8"


def check_tracing(settings: Settings) -> Iterator[str]:
    """The libraries are an extra."""
    if settings.tracing and not available():
        yield "PAYMENTS_TRACING: needs its libraries; install payment-service[tracing], or set it to false"


CHECKS: Final[tuple[Callable[[Settings], Iterator[str]], ...]] = (
    check_database,
    check_redis,
    check_stripe_key,
    check_stripe_api_base,
    check_webhook_secret,
    check_secret_key,
    check_allowed_origins,
    check_trusted_proxies,
    check_tracing,
)

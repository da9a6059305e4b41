"""What makes settings unsafe: each check yields one sentence a problem, naming the setting and the fix."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from payment_service.config.plaintext import database_in_the_clear, misread, redis_in_the_clear, verified
from payment_service.http.addresses import parse_network, too_wide
from payment_service.observability.tracing import available
from payment_service.storage import dialects

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from payment_service.config.secrets import Secret
    from payment_service.config.settings import Settings

MINIMUM_SECRET_KEY_CHARACTERS: Final = 32
MINIMUM_DISTINCT_CHARACTERS: Final = 8
MAXIMUM_SECRET_KEYS: Final = 5
"""Each costs a refused key one more HMAC."""
PLAINTEXT: Final = ("database", "redis")
"""What `PAYMENTS_ALLOW_PLAINTEXT` may name."""
_ALLOW: Final = "where the network itself encrypts PAYMENTS_ALLOW_PLAINTEXT="
STRIPE_HOST: Final = "api.stripe.com"
_SERVER: Final = "set postgresql://user:password@host:5432/database (or mariadb://)"
_ENVIRONMENT_NAME: Final = re.compile(r"[a-z0-9-]{1,63}/[a-z0-9.-]{1,253}")
_ENVIRONMENT_UID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_TELLS: Final = {
    "SECRET_KEY": "payments secret-key status",
    "WEBHOOK_SIGNING_KEY": "payments endpoints list",
}
"""The command that tells which values of a setting are needed."""
_STRIPE_KEY = re.compile(r"^(?:sk|rk)_(?P<mode>test|live)_\w+$")


NEEDED: Final[dict[str, tuple[Callable[[Settings], Secret], str]]] = {
    "DATABASE_URL": (lambda s: s.database.url, _SERVER),
    "REDIS_URL": (
        lambda s: s.redis_url,
        "set rediss://host:6379/0 (or rediss+cluster://, rediss+sentinel://)",
    ),
    "STRIPE_SECRET_KEY": (
        lambda s: s.stripe.secret_key,
        "set a secret (sk_...) or restricted (rk_...) key of your Stripe account",
    ),
    "STRIPE_WEBHOOK_SECRET": (
        lambda s: s.stripe.webhook_secret,
        "copy the signing secret (whsec_...) of your webhook endpoint",
    ),
    "SECRET_KEY": (lambda s: s.secret_key, "make one: openssl rand -hex 32"),
}
"""What production does not run without, by setting: where its value is, and the fix."""


def missing(settings: Settings, needs: Collection[str]) -> Iterator[str]:
    """What of `needs` is not set; an empty signing secret, for one, would let anybody sign."""
    for name in needs:
        secret, fix = NEEDED[name]
        if settings.production and not secret(settings).parts():
            yield f"{name}: missing; {fix}"


def check_stripe_key(settings: Settings) -> Iterator[str]:
    """The key's prefix must match the mode (docs.stripe.com/keys); a live key never meets development or a stand-in."""
    key = settings.stripe.secret_key.reveal()
    if not key:
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
    base = urlsplit(settings.stripe.api_base)
    if mode == "live" and base.hostname != STRIPE_HOST:
        yield f"STRIPE_API_BASE: a live key is sent to no other host than {STRIPE_HOST}; remove STRIPE_API_BASE"
    elif mode == "live" and base.scheme != "https":
        yield "STRIPE_API_BASE: a live key is never sent unencrypted; remove STRIPE_API_BASE"


def check_stripe_api_base(settings: Settings) -> Iterator[str]:
    """It must be a URL."""
    parts = urlsplit(settings.stripe.api_base)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        yield "STRIPE_API_BASE: not a URL; for example https://api.stripe.com"


def check_webhook_secret(settings: Settings) -> Iterator[str]:
    """An empty signing secret would let anybody sign (docs.stripe.com/webhooks/signature)."""
    secrets = settings.stripe.webhook_secret.parts()
    if any(not secret.startswith("whsec_") for secret in secrets):
        yield "STRIPE_WEBHOOK_SECRET: a signing secret begins with whsec_; several are separated by commas"
    if settings.production and "whsec_development" in secrets:
        yield "STRIPE_WEBHOOK_SECRET: the development secret is public; copy the one of your webhook endpoint"


def check_secret_key(settings: Settings) -> Iterator[str]:
    """API keys are only as safe as the values they are hashed under."""
    if settings.production and (values := settings.secret_key.parts()):
        yield from secret_key_problems(values)


def check_signing_key(settings: Settings) -> Iterator[str]:
    """Receivers trust what is signed with what is derived from it; who sends no webhooks needs none."""
    if settings.production and (values := settings.deliveries.signing_key.parts()):
        yield from secret_key_problems(values, name="WEBHOOK_SIGNING_KEY")


def secret_key_problems(values: tuple[str, ...], *, name: str = "SECRET_KEY") -> Iterator[str]:
    """Say what is wrong with the values of a setting, by their places; none of them is told."""
    if not values:
        yield f"{name}: needs at least {MINIMUM_SECRET_KEY_CHARACTERS} characters; make one: openssl rand -hex 32"
    if len(values) > MAXIMUM_SECRET_KEYS:
        yield (f"{name}: {len(values)} values, at most {MAXIMUM_SECRET_KEYS}; {_TELLS[name]} tells which may go")
    if len(set(values)) < len(values):
        yield f"{name}: a value stands in it twice; remove one of them"
    for place, value in enumerate(values, start=1):
        which = f"value {place} of {len(values)}, separated by commas, " if len(values) > 1 else ""
        if len(value) < MINIMUM_SECRET_KEY_CHARACTERS:
            yield (
                f"{name}: {which}needs at least {MINIMUM_SECRET_KEY_CHARACTERS} characters; "
                "make one: openssl rand -hex 32"
            )
        elif len(set(value)) < MINIMUM_DISTINCT_CHARACTERS or value.startswith("development-only"):
            yield f"{name}: {which}is too weak; make one: openssl rand -hex 32"


def check_database(settings: Settings) -> Iterator[str]:
    """Production needs a server: a file serves one process."""
    for name, secret in database_urls(settings):
        yield from _database_url_problems(name, secret.reveal(), production=settings.production)


def _database_url_problems(name: str, url: str, *, production: bool) -> Iterator[str]:
    if not url:
        return
    try:
        dialect = dialects.of_url(url)
    except dialects.UnsupportedDatabase as error:
        yield f"{name}: {error}"
        return
    if dialect.is_server and (wrong := misread(url) or dialect.misread(url)):
        yield f"{name}: {wrong}"
    elif production and not dialect.is_server:
        yield f"{name}: SQLite is for development; {_SERVER}"


def check_redis(settings: Settings) -> Iterator[str]:
    """Production needs Redis: limits and cache invalidation span pods."""
    url = settings.redis_url.reveal()
    if not url:
        return
    if url.partition("://")[0].replace("rediss", "redis") not in {"redis", "redis+cluster", "redis+sentinel"}:
        yield "REDIS_URL: use rediss://, rediss+cluster:// or rediss+sentinel://, or the same with redis for plain text"
    elif wrong := misread(url):
        yield f"REDIS_URL: {wrong}"


def check_one_kind(settings: Settings) -> Iterator[str]:
    """All addresses are of one database: what one kind has written, another cannot read, lag or migrate."""
    kinds: dict[str, str] = {}
    for name, secret in database_urls(settings):
        with suppress(dialects.UnsupportedDatabase):
            if url := secret.reveal():
                kinds[name] = dialects.of_url(url).title
    first = kinds.get("DATABASE_URL")
    for name, kind in kinds.items():
        if first and kind != first:
            yield f"{name}: {kind}, but DATABASE_URL is {first}; both are addresses of one database"


def check_plaintext(settings: Settings) -> Iterator[str]:
    """No password and nobody's data crosses a network unencrypted in production, unless a setting says that it may."""
    allowed = settings.allow_plaintext
    if unknown := sorted(set(allowed) - set(PLAINTEXT)):
        yield f"PAYMENTS_ALLOW_PLAINTEXT: {unknown[0]!r} is not one of {', '.join(PLAINTEXT)}"
    if not settings.production:
        return
    if "database" not in allowed:
        for name, secret in database_urls(settings):
            url = secret.reveal()
            if not misread(url) and (found := database_in_the_clear(url)):
                yield f"{name}: {found} may be unencrypted; set {verified(url)}, or {_ALLOW}database"
    url = settings.redis_url.reveal()
    if "redis" not in allowed and not misread(url) and (found := redis_in_the_clear(url)):
        yield f"REDIS_URL: {found} is unencrypted; use rediss:// (rediss+cluster, rediss+sentinel), or {_ALLOW}redis"


def database_urls(settings: Settings) -> Iterator[tuple[str, Secret]]:
    """Yield the settings that hold addresses of the database, and their values."""
    database = settings.database
    yield "DATABASE_URL", database.url
    yield "DATABASE_REPLICA_URL", database.replica_url
    yield "DATABASE_MIGRATION_URL", database.migration_url


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
    """Each must be a network, of proxies and not of everybody."""
    for text in settings.http.trusted_proxies:
        try:
            network = parse_network(text)
        except ValueError:
            yield f"PAYMENTS_TRUSTED_PROXIES: {text!r} is not a network; write for example 10.0.0.0/8"
            continue
        if too_wide(network):
            yield (
                f"PAYMENTS_TRUSTED_PROXIES: {text!r} trusts everybody, and whoever is trusted chooses the address that "
                "limits count; name the proxy's own networks, for example 10.244.0.0/16"
            )


def check_webhook_networks(settings: Settings) -> Iterator[str]:
    """Each must be a network, of receivers and not of everybody."""
    for text in settings.deliveries.allowed_networks:
        try:
            network = parse_network(text)
        except ValueError:
            yield f"PAYMENTS_WEBHOOK_ALLOWED_NETWORKS: {text!r} is not a network; write for example 10.96.0.0/12"
            continue
        if too_wide(network):
            yield (
                f"PAYMENTS_WEBHOOK_ALLOWED_NETWORKS: {text!r} holds everybody, and your own machines among them; name "
                "the receivers' networks, for example 10.96.0.0/12; public addresses need no mention"
            )


def check_tracing(settings: Settings) -> Iterator[str]:
    """The libraries are an extra."""
    if settings.tracing and not available():
        yield "PAYMENTS_TRACING: needs its libraries; install payment-service[tracing], or set it to false"


def check_environment(settings: Settings) -> Iterator[str]:
    """Names as Kubernetes gives them, for the database is held to them."""
    name, uid = settings.environment_name, settings.environment_uid
    if name and not _ENVIRONMENT_NAME.fullmatch(name):
        yield f"PAYMENTS_ENVIRONMENT_NAME: {name!r} is not namespace/name"
    if uid and not _ENVIRONMENT_UID.fullmatch(uid):
        yield f"PAYMENTS_ENVIRONMENT_UID: {uid!r} is no UID of Kubernetes'"
    if uid and not name:
        yield "PAYMENTS_ENVIRONMENT_UID: needs PAYMENTS_ENVIRONMENT_NAME beside it"


CHECKS: Final[tuple[Callable[[Settings], Iterator[str]], ...]] = (
    check_database,
    check_one_kind,
    check_redis,
    check_plaintext,
    check_stripe_key,
    check_stripe_api_base,
    check_webhook_secret,
    check_secret_key,
    check_allowed_origins,
    check_trusted_proxies,
    check_webhook_networks,
    check_signing_key,
    check_tracing,
    check_environment,
)

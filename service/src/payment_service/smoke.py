"""`payments smoke`: proves a release before it gets traffic, against its own address."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final, NotRequired, TypedDict

import aiohttp
import msgspec
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from payment_service.clock import Clock
from payment_service.errors import PaymentsError
from payment_service.health.service import VERSION
from payment_service.migrations import naming
from payment_service.migrations.naming import DatabaseTaken
from payment_service.storage.database import Database
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import API_VERSION, StripeGateway
from payment_service.stripe_api.signature import sign

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from payment_service.config.settings import Settings

TIMEOUT_SECONDS: Final = 10.0
EVENT_TYPE: Final = "lean_payments.smoke"


class Result(TypedDict):
    """What a check found."""

    check: str
    passed: bool
    detail: str
    milliseconds: float
    exit_code: NotRequired[int]
    """What the failure stands for; 1 where it is not named."""


class SmokeFailed(Exception):
    """A check did not pass."""


async def run_smoke(settings: Settings, *, base_url: str) -> list[Result]:
    """Run every check and return what each found, as `check`, `passed`, `detail`, `milliseconds`."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(base_url, timeout=timeout) as session:
        checks: dict[str, Callable[[], Awaitable[str]]] = {
            "ready": lambda: _ready(session),
            "version": lambda: _version(session),
            "database_write": lambda: _database_write(settings),
            "stripe": lambda: _stripe(settings),
            "webhook": lambda: _webhook(settings, session),
        }
        if settings.smoke_api_key:
            checks["api_key"] = lambda: _api_key(settings, session)
        results = [await _run(name, check) for name, check in checks.items()]
    passed = all(result["passed"] for result in results)
    return [*results, await _run("environment", lambda: _environment(settings, passed=passed))]


def exit_code(results: list[Result]) -> int:
    """Return 0, or what the worst of the results stands for: docs/contracts.md."""
    return max((result.get("exit_code", 1) for result in results if not result["passed"]), default=0)


async def _run(name: str, check: Callable[[], Awaitable[str]]) -> Result:
    started = time.perf_counter()
    code = 1
    try:
        detail, passed = await check(), True
    except DatabaseTaken as error:
        detail, passed, code = str(error), False, naming.EXIT_CODE
    except Exception as error:  # noqa: BLE001 - whatever goes wrong is the check's result
        detail, passed = _said(error)[:300], False
    milliseconds = round((time.perf_counter() - started) * 1000, 1)
    result: Result = {"check": name, "passed": passed, "detail": detail, "milliseconds": milliseconds}
    return result if passed or code == 1 else {**result, "exit_code": code}


def _said(error: Exception) -> str:
    """Return what went wrong for a person who knows the address and not Python."""
    if isinstance(error, aiohttp.ClientConnectorError):
        why = f": {os.strerror(error.os_error.errno)}" if error.os_error.errno else ""
        return f"{error.host}:{error.port} cannot be reached{why}"
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_SECONDS:.0f} s"
    if isinstance(error, DBAPIError):  # its own text repeats the statement
        return f"the database says: {error.orig}"
    return str(error) if isinstance(error, SmokeFailed | PaymentsError) else f"{type(error).__name__}: {error}"


async def _ready(session: aiohttp.ClientSession) -> str:
    async with session.get("/health/ready") as answer:
        body = await answer.json()
        if answer.status != 200:  # noqa: PLR2004 - HTTP
            raise SmokeFailed(f"{answer.status}: {body['checks']}")
        return str(body["status"])


async def _version(session: aiohttp.ClientSession) -> str:
    async with session.get("/health") as answer:
        version = (await answer.json())["version"]
    if version != VERSION:
        raise SmokeFailed(f"the address answers with version {version}, this image is {VERSION}")
    return str(version)


async def _database_write(settings: Settings) -> str:
    """Write a row and take it back: proves rights and a writable server without leaving a trace."""
    database = Database.from_settings(settings.database, application_name="payments-smoke")
    try:
        async with database.engine.connect() as connection:
            statement = "INSERT INTO cursors (name, value, updated_at) VALUES ('smoke', '{}', CURRENT_TIMESTAMP)"
            await connection.execute(text(statement))
            await connection.rollback()
    finally:
        await database.close()
    return "written and rolled back"


async def _environment(settings: Settings, *, passed: bool) -> str:
    """Hold the database to be this environment's; what has `passed` all else has it from now on, if nobody had it."""
    here = naming.named(settings)
    if not here.name:
        return "no environment is named here"
    database = Database.from_settings(settings.database, application_name="payments-smoke")
    try:
        async with database.transaction() as connection:
            if passed:
                await naming.settle(connection, here, now=Clock().now())
            else:
                await naming.check(connection, here)
    finally:
        await database.close()
    return f"the database is of {here}"


async def _stripe(settings: Settings) -> str:
    gateway = StripeGateway(settings.stripe)
    try:
        await calls.check(gateway)
    finally:
        await gateway.close()
    return f"the key works, API version {API_VERSION}"


async def _webhook(settings: Settings, session: aiohttp.ClientSession) -> str:
    """Send a webhook signed with each accepted secret; its type is kept and applied by nobody."""
    secrets = settings.stripe.webhook_secret.parts()
    for number, secret in enumerate(secrets):
        now = int(time.time())
        event = {
            "id": f"evt_smoke_{now}_{number}",
            "object": "event",
            "api_version": API_VERSION,
            "created": now,
            "livemode": settings.stripe.livemode,
            "type": EVENT_TYPE,
            "data": {"object": {"id": f"smoke_{now}", "object": "smoke"}},
        }
        body = msgspec.json.encode(event)
        headers = {"Stripe-Signature": sign(body, secret=secret, timestamp=now), "Content-Type": "application/json"}
        async with session.post("/api/v1/webhooks/stripe", data=body, headers=headers) as answer:
            if answer.status != 200:  # noqa: PLR2004 - HTTP
                raise SmokeFailed(f"secret {number + 1} of {len(secrets)}: answered {answer.status}")
    return f"{len(secrets)} secret(s) accepted"


async def _api_key(settings: Settings, session: aiohttp.ClientSession) -> str:
    """Make a request that needs the scope `read`: a release that refuses valid keys has no callers to be judged by."""
    headers = {"Authorization": f"Bearer {settings.smoke_api_key.reveal()}"}
    async with session.get("/api/v1/customers?limit=1", headers=headers) as answer:
        if answer.status != 200:  # noqa: PLR2004 - HTTP
            raise SmokeFailed(f"a request with the probe key is answered {answer.status}")
    return "the probe key is accepted"

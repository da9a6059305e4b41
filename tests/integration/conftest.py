"""The service on each database it supports."""

from __future__ import annotations

import os
import shutil
from functools import cache
from typing import TYPE_CHECKING, Any
from unittest import mock

import httpx
import pytest
from httpx._config import create_ssl_context
from litestar.handlers import HTTPRouteHandler
from tests.documented import check
from tests.integration import databases
from tests.servers.stack import Stack, migrate, running_stack
from tests.servers.valkey import ValkeyServer

from payment_service.caching import circuit_breaker
from payment_service.http_api import _handlers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.servers.mariadb import MariaDBServer
    from tests.servers.postgres import PostgresServer


@pytest.fixture(autouse=True)
def documented(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test fails when a body on the wire is not as docs/openapi.json says."""
    plain = httpx.AsyncClient.send

    async def send(self: httpx.AsyncClient, request: httpx.Request, **options: Any) -> httpx.Response:
        answer = await plain(self, request, **options)
        if not options.get("stream"):
            check(request, answer)
        return answer

    monkeypatch.setattr(httpx.AsyncClient, "send", send)


@pytest.fixture(scope="session", autouse=True)
def _read_once() -> Iterator[None]:
    """Read annotations and certificates once: a process makes one application and one client, the tests thousands."""
    for handler in _handlers():
        if isinstance(handler, HTTPRouteHandler):
            _ = handler.parsed_fn_signature  # which the applications' copies of it keep
    trusting = cache(lambda _file, _folder: create_ssl_context())

    def context(verify: Any = True, cert: Any = None, *, trust_env: bool = True) -> Any:  # noqa: FBT002 - httpx's own
        if verify is not True or cert or not trust_env:
            return create_ssl_context(verify=verify, cert=cert, trust_env=trust_env)
        return trusting(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))

    with mock.patch("httpx._transports.default.create_ssl_context", context):
        yield


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no Redis that is away, which requests take for granted after 50 ms."""
    monkeypatch.setattr(circuit_breaker, "TIMEOUT_SECONDS", 2.0)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file after all migrations, to copy."""
    file = tmp_path_factory.mktemp("sqlite") / "migrated.sqlite3"
    migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresServer) -> str:
    """The name of a PostgreSQL database after all migrations, to use as a template."""
    url = postgres_server.new_database()
    migrate(url)
    return url.rpartition("/")[2]


@pytest.fixture(scope="session")
def migrated_mariadb(mariadb_server: MariaDBServer) -> str:
    """The address of a MariaDB database after all migrations, to be emptied: it knows no templates."""
    url = mariadb_server.new_database()
    migrate(url)
    return url


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what takes a database on SQLite and PostgreSQL, and the scenarios chosen in `databases.py` on MariaDB too."""
    chosen = any(mark.args[0] == "database_url" for mark in metafunc.definition.iter_markers("parametrize"))
    if "database_url" in metafunc.fixturenames and not chosen:
        those = databases.of(metafunc.module.__name__, metafunc.function.__name__)
        metafunc.parametrize("database_url", those, indirect=True)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated database without rows: SQLite's file, or one on the real PostgreSQL or MariaDB."""
    if request.param == "sqlite":
        file = tmp_path / "payments.sqlite3"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), file)
        return f"sqlite:///{file}"
    if request.param == "mariadb":
        url: str = request.getfixturevalue("migrated_mariadb")
        request.getfixturevalue("mariadb_server").empty(url.rpartition("/")[2])
        return url
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.new_database(template=request.getfixturevalue("migrated_template"))


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    """A Valkey of the test's own, to stop, freeze and start again."""
    server = ValkeyServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
async def stack(database_url: str) -> AsyncIterator[Stack]:
    """The whole service, migrated and running."""
    async with running_stack(database_url) as running:
        yield running

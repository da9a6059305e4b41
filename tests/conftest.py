"""Fixtures of all tiers."""

from __future__ import annotations

import gc
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from unittest import mock

import pytest
import structlog
from hypothesis import HealthCheck, settings
from tests import logged
from tests.requirements import missing, require
from tests.servers.mariadb import PROGRAM as MARIADB
from tests.servers.mariadb import MariaDBServer
from tests.servers.postgres import DEBIAN_15, DURABLE, PostgresServer, wheel_programs
from tests.servers.valkey import ValkeyServer

from payment_service.observability.logging import REQUEST_LINES, redact_event

if TYPE_CHECKING:
    from collections.abc import Iterator

UNIT = Path(__file__).parent / "unit"
Server = TypeVar("Server", PostgresServer, MariaDBServer)

_configure = structlog.configure


def _configure_uncached(**given: Any) -> None:
    """Configure as a command does, but cache no logger: one that is cached in a test is deaf to all later tests."""
    _configure(**given | {"cache_logger_on_first_use": False})


mock.patch.object(structlog, "configure", _configure_uncached).start()
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.format_exc_info,
        redact_event,
        structlog.processors.add_log_level,
        logged.catch,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ],
    wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
)
logging.getLogger().addHandler(logged.Watcher(logging.INFO))
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("few", settings.get_profile("default"), max_examples=20)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Block sockets in unit tests."""
    for item in items:
        if item.path.is_relative_to(UNIT):
            item.add_marker(pytest.mark.disable_socket)
            item.add_marker(pytest.mark.allow_hosts([]))


def pytest_collection() -> None:
    """Look for no garbage while tests are loaded: what is made stays."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave what was loaded out of collections, which come more seldom, as in the service after its start."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """List what was skipped, with the command that enables it."""
    skips = terminalreporter.stats.get("skipped", [])
    if skips:
        terminalreporter.section(f"skipped: {len(skips)}, enable with")
        for wanted, count in missing(skips).items():
            terminalreporter.write_line(f"{count:4} tests: {wanted}")


@pytest.fixture(autouse=True)
def _no_secret_is_logged() -> Iterator[None]:
    """Fail the test during which something secret reached a log line."""
    yield
    lines = list(logged.FOUND)
    logged.FOUND.clear()
    assert lines == []


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Undo what a command that runs in the test's process has set up: later tests look at what is logged."""
    before, root, writing = structlog.get_config(), logging.getLogger(), REQUEST_LINES._logger
    handlers, level = list(root.handlers), root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    logging.raiseExceptions = True
    structlog.configure(**before)
    REQUEST_LINES.write_to(writing)


def _serve(server: Server) -> Iterator[Server]:
    server.create()
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """PostgreSQL 18 without durability, for tests that do not stop it."""
    yield from _serve(PostgresServer(wheel_programs()))


@pytest.fixture(scope="session")
def postgres15_server() -> Iterator[PostgresServer]:
    """PostgreSQL 15, likewise."""
    require((DEBIAN_15 / "postgres").exists(), what="PostgreSQL 15", command="apt-get install postgresql-15")
    yield from _serve(PostgresServer(DEBIAN_15))


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDBServer]:
    """MariaDB without durability, for tests that do not stop it."""
    require(MARIADB.exists(), what="MariaDB", command="apt-get install mariadb-server-core mariadb-client")
    yield from _serve(MariaDBServer())


@pytest.fixture
def own_postgres_server() -> Iterator[PostgresServer]:
    """A durable PostgreSQL 18 server of the test's own, to stop, kill and pause."""
    yield from _serve(PostgresServer(wheel_programs(), settings=DURABLE))


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """A new, empty database."""
    return postgres_server.new_database()


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    """Valkey, for tests that do not stop it."""
    server = ValkeyServer()
    server.start()
    yield server
    server.remove()

"""Migrated databases for what kills processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.servers.stack import migrate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.postgres import PostgresServer


@pytest.fixture
def migrated_url(postgres_server: PostgresServer) -> str:
    """A migrated database without rows."""
    return _migrated(postgres_server)


@pytest.fixture
def migrated_sqlite(tmp_path: Path) -> str:
    """A migrated file without rows."""
    url = f"sqlite:///{tmp_path / 'payments.sqlite3'}"
    migrate(url)
    return url


@pytest.fixture
def durable_url(own_postgres_server: PostgresServer) -> str:
    """A migrated database on the durable server, which the test may kill."""
    return _migrated(own_postgres_server)


def _migrated(server: PostgresServer) -> str:
    url = server.new_database()
    migrate(url)
    return url

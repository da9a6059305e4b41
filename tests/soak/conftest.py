"""A migrated PostgreSQL for what kills processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.servers.stack import migrate

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresServer


@pytest.fixture
def migrated_url(postgres_server: PostgresServer) -> str:
    """A migrated database without rows."""
    url = postgres_server.new_database()
    migrate(url)
    return url

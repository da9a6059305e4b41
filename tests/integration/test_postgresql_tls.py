"""PostgreSQL that requires TLS, and addresses that verify its certificate."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from tests.requirements import require
from tests.servers.certificates import issue, make_authority
from tests.servers.postgres import DEBIAN_15, PostgresServer
from tests.servers.stack import development_settings

from payment_operator.clients.postgresql import lock_role
from payment_operator.errors import DatabaseFault
from payment_service.storage.database import Database, is_unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_IN_USE = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities; the server's certificate is the first one's and valid for `localhost` only."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("ca", "other"):
        make_authority(folder, name=name)
    issue(folder, names="DNS:localhost")
    return folder


@pytest.fixture(scope="module")
def server(certificates: Path) -> Iterator[PostgresServer]:
    # the wheel's PostgreSQL is built without TLS
    require((DEBIAN_15 / "postgres").exists(), what="PostgreSQL 15", command="apt-get install postgresql-15")
    made = PostgresServer(DEBIAN_15)
    made.create()
    made.take_certificate(certificates / "server.crt", certificates / "server.key")
    made.start()
    yield made
    made.remove()


async def encrypted(server: PostgresServer, query: str, *, host: str = "localhost") -> bool:
    """Connect with these parameters and tell whether the connection is encrypted."""
    url = f"postgresql://postgres@{host}:{server.port}/postgres?{query}"
    settings = development_settings(database_url=url, stripe_url="http://127.0.0.1:1")
    database = Database.from_settings(settings.database)
    try:
        async with database.read() as connection:
            return bool((await connection.execute(_IN_USE)).scalar_one())
    finally:
        await database.close()


async def test_verify_full_with_the_right_authority_connects_encrypted(
    server: PostgresServer, certificates: Path
) -> None:
    assert await encrypted(server, f"sslmode=verify-full&sslrootcert={certificates / 'ca.crt'}")


async def test_of_two_hosts_each_is_verified_by_its_own_name(server: PostgresServer, certificates: Path) -> None:
    hosts = f"127.0.0.1:9,localhost:{server.port}"
    url = f"postgresql://postgres@{hosts}/postgres?sslmode=verify-full&sslrootcert={certificates / 'ca.crt'}"
    settings = development_settings(database_url=url, stripe_url="http://127.0.0.1:1")
    database = Database.from_settings(settings.database)
    async with database.read() as connection:
        assert (await connection.execute(_IN_USE)).scalar_one()
    await database.close()


@pytest.mark.parametrize(
    ("host", "authority"),
    [("localhost", "other"), ("127.0.0.1", "ca")],
    ids=["another authority", "another name"],
)
async def test_verify_full_refuses_what_is_not_the_server(
    server: PostgresServer, certificates: Path, host: str, authority: str
) -> None:
    query = f"sslmode=verify-full&sslrootcert={certificates / f'{authority}.crt'}"
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        await encrypted(server, query, host=host)
    assert is_unavailable(caught.value)


async def test_a_server_that_requires_tls_refuses_plain_connections(server: PostgresServer) -> None:
    with pytest.raises(Exception, match="no encryption"):
        await encrypted(server, "sslmode=disable")


async def test_the_authority_may_come_from_the_environment_and_change(
    server: PostgresServer, certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the chart's `database.ca` gives it to every container."""
    file = tmp_path / "ca.crt"
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGSSLROOTCERT", str(file))
    file.write_bytes((certificates / "other.crt").read_bytes())
    with pytest.raises(ssl.SSLCertVerificationError):
        await encrypted(server, "")
    file.write_bytes((certificates / "ca.crt").read_bytes())
    assert await encrypted(server, "")


@pytest.mark.parametrize("query", ["", "?", "?application_name=operator", "?sslmode=verify-ca"])
async def test_the_operator_verifies_the_server_by_the_authority(
    server: PostgresServer, certificates: Path, query: str
) -> None:
    url = f"postgresql+asyncpg://postgres@localhost:{server.port}/postgres{query}"
    assert await lock_role(admin_url=url, role="nobody", authority=(certificates / "ca.crt").read_text())
    with pytest.raises(DatabaseFault, match="certificate verify failed"):
        await lock_role(admin_url=url, role="nobody", authority=(certificates / "other.crt").read_text())

"""The servers that other tests stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresServer
    from tests.servers.valkey import ValkeyServer


def test_postgresql_18_runs_from_the_wheel(postgres_server: PostgresServer) -> None:
    version = postgres_server.execute("SHOW server_version_num")[0][0]
    assert int(version) >= 180000


def test_postgresql_15_runs_from_debian(postgres15_server: PostgresServer) -> None:
    version = postgres15_server.execute("SHOW server_version_num")[0][0]
    assert 150000 <= int(version) < 160000


def test_a_killed_postgresql_starts_again(own_postgres_server: PostgresServer) -> None:
    own_postgres_server.execute("CREATE TABLE kept (id int)")
    own_postgres_server.kill()
    own_postgres_server.start()
    assert own_postgres_server.execute("SELECT count(*) FROM kept")[0][0] == 0


def test_valkey_runs_from_the_wheel(valkey_server: ValkeyServer) -> None:
    assert valkey_server.url.startswith("redis://127.0.0.1:")

"""The servers that other tests stand on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
import yaml
from tests.servers.valkey import ValkeyServer

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresServer


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


def test_valkey_takes_the_options_of_compose() -> None:
    compose = yaml.safe_load((Path(__file__).parents[2] / "compose.yaml").read_text())
    program, *options = compose["services"]["valkey"]["command"]
    assert program == "valkey-server"
    server = ValkeyServer(*options)
    server.start()
    try:
        with redis.Redis(port=server.port, decode_responses=True) as client:
            found: Any = client.config_get("maxmemory", "maxmemory-policy", "appendonly")
        assert found == {"maxmemory": str(2 * 1024**3), "maxmemory-policy": "allkeys-lru", "appendonly": "yes"}
    finally:
        server.remove()

"""Redis by TLS, as a cluster, and under sentinels: real servers, stopped while the service runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from redis.exceptions import RedisError
from tests.servers.certificates import issue, make_authority
from tests.servers.stack import running_stack
from tests.servers.tls import TlsFront
from tests.servers.valkey_groups import SentinelGroup, ValkeyCluster

from payment_service.caching import circuit_breaker
from payment_service.caching.redis import close, connect
from payment_service.config.secrets import Secret
from payment_service.ratelimit.limiter import RedisLimiter, Rule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.servers.postgres import PostgresServer
    from tests.servers.stack import Stack
    from tests.servers.valkey import ValkeyServer

PATH = "/api/v1/subscriptions"


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer for Redis than production does: the machine may be busy."""
    monkeypatch.setattr(circuit_breaker, "TIMEOUT_SECONDS", 2.0)


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyCluster]:
    made = ValkeyCluster()
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture
def sentinel() -> Iterator[SentinelGroup]:
    made = SentinelGroup()
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture
def url(postgres_server: PostgresServer, migrated_template: str) -> str:
    return postgres_server.new_database(template=migrated_template)


@pytest.fixture
async def clustered(url: str, cluster: ValkeyCluster) -> AsyncIterator[Stack]:
    async with running_stack(url, REDIS_URL=cluster.url) as stack:
        yield stack


async def listening(stack: Stack) -> None:
    async def trusted() -> bool:
        assert stack.parts.invalidations is not None
        await asyncio.sleep(0)
        return stack.parts.invalidations.listening()

    await stack.until(trusted)


async def healthy(stack: Stack) -> None:
    async def redis_is_there() -> bool:
        return bool((await stack.client.get("/health")).json()["checks"]["redis"])

    await stack.until(redis_is_there)


async def limited(stack: Stack, subject: str) -> list[bool]:
    rules = (Rule("create", subject, 3, exact=True), Rule("key", f"{subject}-key", 100))
    return [(await stack.parts.limiter.check(*rules)).allowed for _ in range(5)]


async def test_a_cluster_limits_remembers_and_forgets(clustered: Stack) -> None:
    stack = clustered
    await healthy(stack)
    assert await limited(stack, "cluster") == [True] * 3 + [False] * 2
    path = f"{PATH}/{(await stack.create(email='ada@example.com', payment_method_id='pm_card_visa')).json()['id']}"
    await listening(stack)

    async def remembered() -> bool:
        assert (await stack.client.get(path)).status_code == 200
        return stack.parts.cache.look_up(path.rpartition("/")[2]) is not None

    await stack.until(remembered)
    await stack.client.post(f"{path}/cancel", json={"at_period_end": True})
    assert (await stack.client.get(path)).json()["cancel_at_period_end"] is True


async def test_a_change_crosses_a_cluster(clustered: Stack, url: str, cluster: ValkeyCluster) -> None:
    """Keys of one change lie on several nodes, and any node passes the message on."""
    async with running_stack(url, REDIS_URL=cluster.url) as other:
        await listening(clustered)
        await listening(other)
        names = [f"lps_{number}" for number in range(30)]

        async def read() -> bytes:
            return b"old"

        for name in names:
            await other.parts.cache.load(name, read)
        assert clustered.parts.invalidations is not None
        clustered.parts.invalidations.publish(names)

        async def forgotten() -> bool:
            await asyncio.sleep(0)
            return not any(name in other.parts.cache._entries for name in names)

        await other.until(forgotten)


async def test_a_sentinel_failover_is_followed(url: str, sentinel: SentinelGroup) -> None:
    async with running_stack(url, REDIS_URL=sentinel.url) as stack:
        await healthy(stack)
        await listening(stack)
        assert await limited(stack, "before") == [True] * 3 + [False] * 2
        await asyncio.to_thread(sentinel.primary.stop)
        assert (await stack.create(email="ada@example.com")).status_code == 201
        await asyncio.to_thread(sentinel.wait_for_failover)
        await healthy(stack)
        await listening(stack)

        async def limits_hold() -> bool:
            return (await limited(stack, "after"))[-1] is False

        await stack.until(limits_hold)


@pytest.fixture
def tls(tmp_path: Path, valkey_server: ValkeyServer) -> Iterator[TlsFront]:
    for name in ("ca", "other"):
        make_authority(tmp_path, name=name)
    certificate, key = issue(tmp_path, names="DNS:localhost")
    front = TlsFront(to_port=valkey_server.port, certificate=certificate, key=key)
    front.start()
    yield front
    front.stop()


async def test_tls_with_the_right_authority_works(tls: TlsFront, tmp_path: Path) -> None:
    client = connect(Secret(f"rediss://localhost:{tls.port}/0?ssl_ca_certs={tmp_path / 'ca.crt'}"))
    limiter = RedisLimiter(client)
    assert [(await limiter.check(Rule("create", "tls", 1, exact=True))).allowed for _ in range(2)] == [True, False]
    await client.aclose()


@pytest.mark.parametrize(
    ("scheme", "host", "authority"),
    [("rediss", "localhost", "other"), ("rediss", "127.0.0.1", "ca"), ("redis", "localhost", "ca")],
    ids=["another authority", "another name", "no TLS"],
)
async def test_tls_is_not_given_up(tls: TlsFront, tmp_path: Path, scheme: str, host: str, authority: str) -> None:
    query = f"?ssl_ca_certs={tmp_path / f'{authority}.crt'}" if scheme == "rediss" else ""
    client = connect(Secret(f"{scheme}://{host}:{tls.port}/0{query}"))
    with pytest.raises(RedisError):
        await client.ping()
    await client.aclose()


async def test_sentinels_are_asked_over_tls_and_the_server_that_they_name_is_too(
    sentinel: SentinelGroup, tmp_path: Path
) -> None:
    make_authority(tmp_path, name="ca")
    certificate, key = issue(tmp_path, names="DNS:localhost")
    front = TlsFront(to_port=sentinel.port, certificate=certificate, key=key)
    front.start()
    authority = tmp_path / "ca.crt"
    address = f"localhost:{front.port}/0?service=payments&ssl_ca_certs={authority}"
    client: Any = connect(Secret(f"rediss+sentinel://{address}"))
    try:
        manager = client.connection_pool.sentinel_manager
        assert (await manager.discover_master("payments"))[1] == sentinel.primary.port
        with pytest.raises(RedisError):  # the server itself knows no TLS: plain text is not tried
            await client.ping()
    finally:
        await close(client)
        front.stop()

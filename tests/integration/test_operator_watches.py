"""A watch that dies is noticed, in whatever way it dies, and lives again once the API server lets it."""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from tests.servers.certificates import issue, make_authority
from tests.servers.watched import DEATHS, Watched

from payment_operator.runtime.pulse import Pace
from payment_operator.runtime.watches import Watches

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from payment_operator.names import EnvironmentKey

pytestmark = pytest.mark.filterwarnings(
    # Kopf's tasks that outlive its end leave their connections to the garbage collector: see `collected`
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning",
    "ignore:Exception ignored in. <function .*Transport:pytest.PytestUnraisableExceptionWarning",
    "ignore:Exception ignored in. <function ClientSession:pytest.PytestUnraisableExceptionWarning",
    "ignore:Exception ignored in. <function BaseConnector:pytest.PytestUnraisableExceptionWarning",
)
PACE = Pace(renew=1, silent=4.0, connect=2.0, noticed=6.0, rest=0.2, longest_rest=0.4)
"""As in service, at a fifth of the time."""


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What is left of connections is collected here, not in a test to come, which it would fail."""
    yield
    gc.collect()


class Seen:
    """What the operator is told."""

    def __init__(self) -> None:
        self.versions: list[str] = []
        self.loop = asyncio.get_running_loop()

    def see(self, _: EnvironmentKey, version: str) -> None:
        assert asyncio.get_running_loop() is self.loop, "the queue is not for other threads"
        self.versions.append(version)


async def until(condition: Callable[[], object], *, what: str) -> None:
    try:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - of any kind
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(what)


@asynccontextmanager
async def watching(
    server: Watched, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Watches, Seen]]:
    secure = (folder / "ca.crt").exists()
    cluster = {"server": f"{'https' if secure else 'http'}://127.0.0.1:{server.port}"}
    if secure:
        cluster["certificate-authority"] = str(folder / "ca.crt")
    config = {
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "users": [{"name": "test", "user": {"token": "of-the-test"}}],
    }
    file = folder / "kubeconfig"
    file.write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(file))
    seen = Seen()
    watches = Watches(changed=lambda _: None, deleted=lambda _: None, seen=seen.see, kubeconfig=str(file), pace=PACE)
    task = asyncio.create_task(watches.run())
    try:
        await until(lambda: "1" in seen.versions, what="no watch began")
        yield watches, seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def dies_and_lives(server: Watched, watches: Watches, seen: Seen, death: str) -> None:
    await server.change()
    await until(lambda: "2" in seen.versions, what="the watch shows nothing")
    assert not watches.pulse.problems()
    await server.kill(death)
    await until(watches.pulse.problems, what=f"nobody noticed: {death}")
    assert all(problem.startswith("a watch is dead") for problem in watches.pulse.problems())
    asked = server.asked
    await server.change()
    await server.heal()
    await until(lambda: "3" in seen.versions, what=f"what happened meanwhile is not seen after: {death}")
    await until(lambda: not watches.pulse.problems(), what=f"still dead after: {death}")
    await server.change()
    await until(lambda: "4" in seen.versions, what=f"the watch shows nothing after: {death}")
    assert server.asked > asked


@pytest.mark.parametrize("death", DEATHS)
async def test_a_watch_that_dies_is_noticed_and_lives_again(
    death: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Watched() as server, watching(server, tmp_path, monkeypatch) as (watches, seen):
        await dies_and_lives(server, watches, seen, death)


@pytest.mark.parametrize("death", ["closed", "gone"])
async def test_a_watch_whose_tls_ends_is_noticed_and_lives_again(
    death: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_authority(tmp_path)
    certificate, key = issue(tmp_path, names="IP:127.0.0.1")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with Watched(tls=tls) as server, watching(server, tmp_path, monkeypatch) as (watches, seen):
        await dies_and_lives(server, watches, seen, death)


async def test_streams_that_end_at_once_are_not_asked_for_without_a_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Watched() as server, watching(server, tmp_path, monkeypatch):
        await server.kill("closed")
        loop = asyncio.get_running_loop()
        begun, asked = loop.time(), server.asked
        await until(lambda: server.asked >= asked + 5, what="it is not asked again")
        assert loop.time() - begun >= 4 * PACE.rest


async def test_a_healthy_watch_is_never_called_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Watched() as server, watching(server, tmp_path, monkeypatch) as (watches, _):
        asked = server.asked
        while server.asked < asked + 5:
            assert not watches.pulse.problems()
            await asyncio.sleep(0.05)

"""An API server that is too busy says when to ask again: so it is done, and told only if it goes on."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from payment_operator.clients import kubernetes as client
from payment_operator.clients.kubernetes import Cluster
from payment_operator.errors import ApiError
from payment_operator.runtime import lease
from payment_operator.runtime.lease import Lease, LeaseLost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Busy:
    """Refuses as priority and fairness does, `refusals` times, and then answers."""

    def __init__(self, refusals: int, *, after: str = "0") -> None:
        self.left, self.asked, self.after = refusals, 0, after

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        if self.left:
            self.left -= 1
            text = "Too many requests, please try again later."
            return web.Response(status=429, text=text, headers={"Retry-After": self.after} if self.after else {})
        return web.json_response({"metadata": {"resourceVersion": "1"}, "spec": {"holderIdentity": "us"}})

    @asynccontextmanager
    async def connected(self, folder: Path) -> AsyncIterator[Cluster]:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self.answer)
        async with TestServer(application) as server:
            named = {"name": "busy", "cluster": {"server": str(server.make_url(""))}, "user": {}}
            context = {"name": "busy", "context": {"cluster": "busy", "user": "busy"}}
            config = {"clusters": [named], "users": [named], "contexts": [context], "current-context": "busy"}
            (folder / "config").write_text(json.dumps(config))
            found = await Cluster.connect(str(folder / "config"))
            try:
                yield found
            finally:
                await found.close()


async def test_a_request_is_sent_again_when_it_says(tmp_path: Path) -> None:
    busy = Busy(client.ATTEMPTS - 1)
    async with busy.connected(tmp_path) as cluster:
        assert await cluster.get("Service", "shop", "shop-api")
    assert busy.asked == client.ATTEMPTS


async def test_one_that_stays_busy_is_told_in_its_words(tmp_path: Path) -> None:
    busy = Busy(1000)
    async with busy.connected(tmp_path) as cluster:
        with pytest.raises(ApiError, match="Too many requests"):
            await cluster.create({"kind": "Job", "metadata": {"name": "plan", "namespace": "shop"}})
    assert busy.asked == client.ATTEMPTS


@pytest.mark.parametrize("after", ["", "soon", "-1"])
async def test_one_that_does_not_say_when_is_asked_once(tmp_path: Path, after: str) -> None:
    busy = Busy(1, after=after)
    async with busy.connected(tmp_path) as cluster:
        with pytest.raises(ApiError):
            await cluster.get("Service", "shop", "shop-api")
    assert busy.asked == 1


async def test_the_lease_is_given_up_before_another_operator_may_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "DURATION_SECONDS", 0.6)
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.2)
    monkeypatch.setattr(lease, "RETRY_SECONDS", 0.02)
    busy = Busy(1000, after="5")  # longer than the Lease lasts
    async with busy.connected(tmp_path) as cluster:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with pytest.raises(LeaseLost, match="could not be renewed"):
            await Lease(cluster, namespace="shop", name="operator", identity="us").hold()
        assert loop.time() - begun < client.LONGEST_PAUSE_SECONDS


async def test_a_lease_that_was_refused_once_is_tried_again_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(lease, "RETRY_SECONDS", 0.05)
    busy = Busy(1, after="")
    async with busy.connected(tmp_path) as cluster:
        held = asyncio.create_task(Lease(cluster, namespace="shop", name="operator", identity="us").hold())
        async with asyncio.timeout(30):
            while busy.asked < 6 and not held.done():  # noqa: ASYNC110 - a server in the same loop
                await asyncio.sleep(0.01)
        assert not held.done()
        held.cancel()

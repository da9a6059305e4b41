"""What others say of a revision in its bake: a real Prometheus, a webhook receiver, the API with a probe key."""

from __future__ import annotations

import asyncio
import copy
import shutil
import socket
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from aiohttp import web
from tests.servers.production import production
from tests.unit.operator.driven import Driven, Ports
from tests.unit.operator.test_analysis import metrics
from tests.unit.operator.world import SPEC, World

from payment_operator.api.environment import Environment
from payment_operator.api.measures import PrometheusMeasure, WebhookMeasure
from payment_operator.clients.measures import call_webhook, query_prometheus
from payment_operator.clients.pod_admin import Admin
from payment_operator.model.pod import Pod, read_pod
from payment_operator.observe.pods import PodWatch
from payment_operator.resources import jobs, pods
from payment_service.config.secrets import Secret
from payment_service.smoke import run_smoke

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from payment_operator.model.measures import Measure
    from payment_operator.model.observed import Observed

OBSERVED = World().observe()
REVISION = "bd5affc2"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def prometheus(folder: Path) -> AsyncIterator[str]:
    """A Prometheus that scrapes nothing; recording rules give it two series."""
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("no prometheus: scripts/packages")
    rules = "groups: [{name: a, rules: [{record: age, expr: vector(12.5), labels: {namespace: test}}]}]"
    (folder / "rules.yaml").write_text(rules)
    settings = f"global: {{evaluation_interval: 1s}}\nrule_files: [{folder}/rules.yaml]\n"
    (folder / "prometheus.yaml").write_text(settings)
    address = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        binary,
        f"--config.file={folder}/prometheus.yaml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={address}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        await process.wait()


async def asked(url: str, query: str, **bounds: Any) -> Measure:
    spec = msgspec.convert({"name": "age", "url": url, "query": query} | bounds, PrometheusMeasure)
    return await query_prometheus(spec, OBSERVED, revision=REVISION)


async def test_a_query_passes_or_fails_by_its_bounds_and_nothing_else_is_a_pass(tmp_path: Path) -> None:
    async with prometheus(tmp_path) as url:
        query = 'age{namespace="{{ namespace }}"}'
        async with asyncio.timeout(60):
            while (found := await asked(url, query, max="30")).verdict == "Inconclusive":  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        assert (found.verdict, found.value, found.limit) == ("Passed", "12.5", "at most 30")
        assert found.evidence == 'query age{namespace="test"}'
        failed = await asked(url, query, min="1", max="12")
        assert (failed.verdict, failed.wrong) == ("Failed", "age is 12.5, at least 1, at most 12 passes")
        assert (await asked(url, "scalar(vector(3))", min="3")).verdict == "Passed"
        inconclusive = {
            "nothing_at_all": "0 series",
            "vector(0) / 0": "NaN",
            'label_replace(age, "x", "y", "", "") or vector(1)': "2 series",
            "sum by (": "answered 400",
        }
        for text, said in inconclusive.items():
            found = await asked(url, text, max="1")
            assert (found.verdict, found.value) == ("Inconclusive", ""), text
            assert said in found.evidence
    gone = await asked(url, query, max="30")
    assert (gone.verdict, gone.evidence) == ("Inconclusive", "no answer: ClientConnectorError")


@asynccontextmanager
async def receiver(answer: Any) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    got: list[dict[str, Any]] = []

    async def receive(request: web.Request) -> web.StreamResponse:
        got.append(await request.json() if request.content_type == "application/json" else {})
        found: web.StreamResponse = await answer(request)
        return found

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receive)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", got
    finally:
        await runner.cleanup()


async def hook(url: str) -> Measure:
    spec = WebhookMeasure(name="gate", url=url, metadata={"type": "load"}, timeout_seconds=1)
    return await call_webhook(spec, OBSERVED, revision=REVISION)


async def test_a_webhook_gets_flagger_s_form_and_its_status_is_the_answer() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/hang":
            await asyncio.sleep(30)
        if request.path == "/away":
            raise web.HTTPFound("/200")
        return web.Response(status=int(request.path[1:]), text="secret words of an inner system")

    async with receiver(answer) as (url, got):
        passed = await hook(f"{url}/200")
        assert (passed.verdict, passed.value) == ("Passed", "200")
        assert got == [
            {
                "name": "shop",
                "namespace": "test",
                "phase": "Progressing",
                "checksum": REVISION,
                "metadata": {"type": "load"},
            }
        ]
        for status in (400, 404, 500, 503):
            failed = await hook(f"{url}/{status}")
            assert (failed.verdict, failed.wrong) == ("Failed", f"the webhook gate answered {status}")
            assert "secret words" not in str(failed)
        assert (await hook(f"{url}/hang")).evidence == "no answer within 1 s"
        before = len(got)
        assert (await hook(f"{url}/away")).verdict == "Failed", "a redirect is not followed"
        assert len(got) == before + 1


async def test_what_is_no_prometheus_proves_nothing() -> None:
    answers = {"/html": "<html>", "/json": "[]", "/huge": "x" * 200_000, "/nan": '{"data": {"resultType": "scalar"}}'}

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text=answers[request.path.removesuffix("/api/v1/query")])

    async with receiver(answer) as (url, _):
        for path in answers:
            found = await asked(f"{url}{path}", "up", max="1")
            assert (found.verdict, found.evidence) == ("Inconclusive", "the answer is none of Prometheus's")


async def test_a_bake_goes_back_by_a_webhook_s_word_and_proves_nothing_by_its_silence() -> None:
    says = {"status": 503}

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=says["status"])

    async with receiver(answer) as (url, got):
        bad = baking({"name": "gate", "url": url})
        assert not await bad.passes(20)
        assert bad.world.active() == "registry/payments:1"
        assert bad.told("BakeFailed") == ["Revision 2: the webhook gate answered 503"]
        assert measured(bad, "gate") == ("Failed", "503", "2xx")
        assert bad.world.status["bake"]["verdict"] == "Failed"
        says["status"] = 200
        good = baking({"name": "gate", "url": url})
        assert not await good.passes(40)
        assert good.told("Released")
        assert good.world.status["bake"]["verdict"] == "Passed"
        assert got[-1]["checksum"] == good.world.status["active"]["hash"]
    silent = baking({"name": "gate", "url": f"http://127.0.0.1:{free_port()}"})
    assert not await silent.passes(40)
    assert silent.world.active() == "registry/payments:2"
    assert not silent.told("Released")
    assert "gate proves nothing: no answer: ClientConnectorError" in silent.world.conditions()["Baking"]["message"]
    assert silent.world.status["bake"]["verdict"] == "Inconclusive"


def baking(webhook: dict[str, str]) -> Driven:
    world = World()
    world.settle()
    world.spec["release"] |= {"bake": {"seconds": 60, "webhooks": [webhook]}, "onInconclusive": "Hold"}
    looks: dict[str, int] = {}

    def text(pod: Pod) -> str:
        looks[pod.uid] = looks.get(pod.uid, 0) + 1
        return metrics(20 * looks[pod.uid], attempts=looks[pod.uid])

    driven = Driven(world, ports=Ports(world, text))
    world.change(image="registry/payments:2")
    for _ in range(60):
        world.operate()
        world.progress()
        if world.active().endswith(":2") and not world.observe().overlapping:
            break
        world.now += timedelta(seconds=2)
    return driven


def measured(driven: Driven, name: str) -> tuple[str, str, str]:
    found = next(entry for entry in driven.world.status["bake"]["measures"] if entry["name"] == name)
    return found["verdict"], found["value"], found["limit"]


def with_key(key: str) -> Observed:
    spec = copy.deepcopy(SPEC)
    spec["release"] |= {"probeKeySecretRef": {"name": "probe"}}
    return replace(OBSERVED, spec=msgspec.convert(spec, Environment), probe_key=key)


async def test_a_revision_that_refuses_the_probe_key_fails_in_smoke_and_at_a_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with production(f"sqlite+aiosqlite:///{tmp_path}/payments.db") as running:
        monkeypatch.setattr("payment_operator.clients.pod_admin.HTTP_PORT", running.port)
        pod = read_pod({"metadata": {"name": "shop-api-1", "uid": "u"}, "status": {"podIP": "127.0.0.1"}})
        admin = Admin()
        try:
            watch = PodWatch(admin)
            verdicts = {key: await watch._try_key(key, [pod]) for key in (running.key, "lp_test_" + "x" * 43, "")}
            assert [found.verdict for found in verdicts.values()] == ["Passed", "Failed", "Inconclusive"]
            refused = verdicts["lp_test_" + "x" * 43]
            assert refused.wrong == "the probe key is not accepted: shop-api-1 answers 401"
            assert "xxx" not in str(refused)
            away = replace(pod, ip="127.0.0.9")
            assert (await watch._try_key(running.key, [away])).verdict == "Inconclusive"
        finally:
            await admin.close()
        for key, passes in ((running.key, True), ("lp_test_" + "x" * 43, False)):
            settings = replace(running.stack.parts.settings, smoke_api_key=Secret(key))
            checks = {entry["check"]: entry for entry in await run_smoke(settings, base_url=running.url)}
            assert checks["api_key"]["passed"] is passes, checks["api_key"]
            assert key not in str(checks)


def test_smoke_s_pod_gets_the_probe_key_as_a_file() -> None:
    observed = with_key("k")
    rendered = pods.manifests(observed.owner, observed.spec, revision=REVISION, credentials="c", replica=False)
    job = jobs.smoke_job(observed.owner, observed.spec, revision=REVISION, run=1, pod=rendered[pods.SMOKE], proves=())
    spec = job["spec"]["template"]["spec"]
    assert {"name": "SMOKE_API_KEY_FILE", "value": "/run/secrets/probe-key/PROBE_API_KEY"} in spec["containers"][0][
        "env"
    ]
    assert "probe" in [volume.get("secret", {}).get("secretName") for volume in spec["volumes"]]

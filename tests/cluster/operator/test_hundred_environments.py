"""A hundred environments on an API server without pods: how long, how many requests, how much memory."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.cluster.api_server import ADMIN, ApiServer
from tests.cluster.operator.harness import SAMPLES, SECRET_VALUES, Operator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)
MANY = 100


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiServer]:
    server = ApiServer(tmp_path)
    try:
        server.start()
        server.install_crds()
        yield server
    finally:
        server.stop()


def create(api: ApiServer, items: list[dict[str, Any]]) -> None:
    done = api.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    assert done.returncode == 0, done.stderr


def environments() -> list[dict[str, Any]]:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in SECRET_VALUES.items()}
    found: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "payments"}, "data": data}
    ]
    sample = yaml.safe_load((SAMPLES / "minimal.yaml").read_text())
    for server in ("database", "redis"):
        sample["spec"][server]["allowPlaintext"] = True
    return found + [sample | {"metadata": {"name": f"shop-{number}"}} for number in range(MANY)]


def planned(api: ApiServer) -> int:
    """How many environments wait for the Job of their plan."""
    items = json.loads(api.kubectl("get", "penv", "-o", "json").stdout)["items"]
    waiting = [(item.get("status") or {}).get("candidate", {}).get("waitingFor", "") for item in items]
    return len([text for text in waiting if text.startswith("the Job ")])


def until(condition: Callable[[], bool], *, seconds: float) -> float:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds
        time.sleep(0.5)
    return time.monotonic() - started


def test_a_hundred_environments(api: ApiServer, tmp_path: Path, say: Callable[[str], None]) -> None:
    create(api, environments())
    with Operator((), api.kubeconfig(ADMIN), tmp_path, resync=30.0) as operator:
        cold = until(lambda: planned(api) == MANY, seconds=300)
        say(f"{MANY} environments: all plan {cold:.0f} s after the operator's start; {operator.memory_mib():.0f} MiB")
        requests = operator.api_requests()
        reads = sum(n for (method, _), n in requests.items() if method == "GET") / MANY
        writes = sum(n for (method, kind), n in requests.items() if method != "GET" and kind != "Lease") / MANY
        say(f"{reads:.0f} reads and {writes:.0f} writes for each from nothing to its plan")
        operator.stop()
        operator.start()
        again = until(lambda: operator.api_requests().get(("GET", "Deployment"), 0) >= MANY, seconds=200)
        time.sleep(3)
        requests = operator.api_requests()
        rewritten = {key: n for key, n in requests.items() if key[0] != "GET" and key[1] != "Lease"}
        say(f"a restart: all looked at after {again:.0f} s, {sum(rewritten.values()):.0f} writes")
        assert not rewritten
        assert operator.get("/healthz")[0] == 200
        assert operator.memory_mib() < 150


def test_a_deletion_is_followed_by_what_was_kept(api: ApiServer, tmp_path: Path) -> None:
    create(api, environments()[:2])
    with Operator(("default",), api.kubeconfig(ADMIN), tmp_path, resync=300.0):
        until(lambda: planned(api) == 1, seconds=120)
        assert api.kubectl("delete", "penv", "shop-0").returncode == 0
        events = ("get", "events", "--field-selector", "reason=Deleted", "-o", "jsonpath={.items[*].message}")
        until(lambda: "the database" in api.kubectl(*events).stdout, seconds=60)


def test_a_standby_is_healthy_and_takes_over(api: ApiServer, tmp_path: Path, say: Callable[[str], None]) -> None:
    def leads(operator: Operator) -> bool:
        return '"leading": true' in operator.get("/readyz")[1]

    (tmp_path / "second").mkdir()
    kubeconfig = api.kubeconfig(ADMIN)
    with (
        Operator(("default",), kubeconfig, tmp_path) as first,
        Operator(("default",), kubeconfig, tmp_path / "second") as second,
    ):
        until(lambda: leads(first) or leads(second), seconds=60)
        leader, standby = (first, second) if leads(first) else (second, first)
        until(lambda: standby.get("/healthz")[0] == 200, seconds=60)
        assert not leads(standby)
        leader.kill()
        took = until(lambda: leads(standby), seconds=90)
        assert standby.get("/healthz")[0] == 200
        say(f"the standby leads {took:.0f} s after the leader was killed")
        standby.stop()
        assert standby.process is not None
        assert standby.process.returncode == 0

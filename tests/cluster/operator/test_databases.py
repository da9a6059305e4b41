"""Two environments with one database on real pods: the second is refused, and claims it with the page's commands."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cluster.operator.harness import Operator, Shop

pytestmark = pytest.mark.timeout(1800)
PAGE = Path(__file__).parents[3] / "docs/operations/disaster-recovery.md"


@pytest.fixture(scope="module")
def serving(shop: Shop, operator: Operator) -> Shop:
    """An environment that serves, so its database is its own."""
    assert operator.process is not None
    shop.apply()
    shop.ready(revision=1)
    return shop


def typed(shop: Shop, block: str, **names: str) -> str:
    """Run a block of the page's commands, with this environment's names, and return what they print."""
    said = []
    for command in re.split(r"\n| && ", block.strip()):
        words = [names.get(word, word) for word in shlex.split(command)]
        assert words[:3] == ["kubectl", "-n", "payments"], command
        said.append(shop.namespace.kubectl(*words[3:]))
    return "".join(said)


def test_a_second_environment_is_refused_until_it_claims_the_database(serving: Shop) -> None:
    page = PAGE.read_text().partition("## A copy names the environment")[2].partition("\n## ")[0]
    in_a_pod, in_a_copy = re.findall(r"```\n(.*?)```", page, re.DOTALL)
    copy = replace(serving, name="copy")
    copy.apply()
    copy.until(lambda _: copy.condition("Stalled").get("reason") == "DatabaseTaken", seconds=300, what="refused")
    said = copy.condition("Stalled")["message"]
    assert all(f"{copy.namespace.name}/{name}" in said for name in (serving.name, copy.name))
    assert serving.condition("Ready")["status"] == "True"
    assert not copy.pods()

    refused = next(name for pod in copy.pods("migrate") if (name := pod["metadata"]["name"]))
    assert "Claimed:" in typed(copy, in_a_copy, POD=refused)
    assert copy.answer(copy.ask("retry", reason="the database is ours"))["state"] == "Done"
    assert copy.ready()["active"]["revision"] >= 1

    serving.apply(allowedOrigins=["https://second.example.com"])
    serving.until(lambda _: serving.condition("Stalled").get("reason") == "DatabaseTaken", seconds=300, what="refused")
    assert serving.condition("Available")["status"] == "True"
    worker = f"deploy/{serving.name}-worker-{serving.status()['active']['hash']}"
    names = {"deploy/payments-lean-payments-worker": worker}
    assert "Would be claimed:" in typed(serving, in_a_pod, **names)
    assert "Claimed:" in typed(serving, in_a_pod.replace(" --dry-run", ""), **names)
    assert serving.answer(serving.ask("retry", reason="the database is ours"))["state"] == "Done"
    serving.ready(revision=2)
    trail = serving.psql("SELECT details->>'reason' FROM audit_log WHERE action = 'database.claim' ORDER BY seq")
    assert trail.splitlines()[-2:] == ["copy of production"] * 2

"""`plan --image` against a real API server on which no pod runs: whatever happens, no Job is left."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from tests.cluster.api_server import NOBODY
from tests.unit.operator.plugin.objects import BLUE, active, revision

if TYPE_CHECKING:
    from tests.cluster.plugin.world import World

PLURAL = "paymentenvironments.payments.leanconstruction.io"
IMAGE = "registry.example.com/lean-payments-service:2.2.0"
CONTAINER = {"name": "job", "image": "registry.example.com/lean-payments-service:2.1.0", "env": [], "volumeMounts": []}

LISTENING = """import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Runs a program that hears Ctrl-C: a shell's background jobs, and so what they start, do not."""


def serving(world: World) -> None:
    """An environment that serves a revision whose Job pod is stored."""
    world.environment(status={"active": active()})
    stored = revision(17, BLUE, "2.0.0", seconds=60)
    stored["data"]["manifests"] = {"job": {"containers": [CONTAINER], "volumes": []}}
    world.apply(stored)


def jobs(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(world.kubectl("get", "jobs", "--output=json"))["items"]
    return found


def test_a_plan_that_takes_too_long_leaves_no_job(world: World) -> None:
    serving(world)
    done = world.plugin("plan", "--image", IMAGE, "--timeout", "2s")
    assert done.returncode == 6
    assert "the plan did not end within 2 s; it has no pod" in done.stderr
    assert "--timeout 10m" in done.stderr
    assert jobs(world) == []


def test_ctrl_c_leaves_no_job(world: World) -> None:
    serving(world)
    plugin, environ, pipe = str(world.folder / "kubectl-payments"), world.environ(), subprocess.PIPE
    command = [sys.executable, "-c", LISTENING, plugin, "plan", "--image", IMAGE]
    with subprocess.Popen(command, env=environ, cwd=world.folder, text=True, stdout=pipe, stderr=pipe) as process:
        deadline = time.monotonic() + 30
        while not jobs(world) and time.monotonic() < deadline:
            time.sleep(0.2)
        (job,) = jobs(world)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["command"]) == (IMAGE, ["payments", "migrate", "--plan", "--json"])
    assert "ownerReferences" not in job["metadata"]
    assert jobs(world) == []


def test_a_plan_of_an_image_without_the_right_names_the_missing_rule(world: World) -> None:
    serving(world)
    world.allow("get,list", PLURAL)
    world.allow("get", "controllerrevisions.apps")
    done = world.plugin("plan", "--image", IMAGE, user=NOBODY)
    assert done.returncode == 5
    for part in ('apiGroups: ["batch"]', 'resources: ["jobs"]', 'verbs: ["create"]'):
        assert part in done.stderr
    assert jobs(world) == []


def test_a_job_that_may_not_be_removed_is_named(world: World) -> None:
    serving(world)
    for verb, resource in (("get,list", PLURAL), ("get", "controllerrevisions.apps"), ("create", "jobs.batch")):
        world.allow(verb, resource)
    done = world.plugin("plan", "--image", IMAGE, user=NOBODY)
    assert done.returncode == 5
    assert 'resources: ["pods"]' in done.stderr
    (job,) = jobs(world)
    assert f"Job {job['metadata']['name']} is left" in done.stderr
    assert job["spec"]["ttlSecondsAfterFinished"]


def test_an_image_is_not_planned_before_a_revision_serves(world: World) -> None:
    world.environment()
    done = world.plugin("plan", "--image", IMAGE)
    assert done.returncode == 4
    assert "no revision serves yet" in done.stderr
    assert "kubectl payments status shop" in done.stderr

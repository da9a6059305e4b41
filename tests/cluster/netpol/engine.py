"""Watch pods, namespaces and policies, and keep the node's nftables table as they say.

`sigs.k8s.io/kube-network-policies` decides in user space on packets that NFQUEUE hands up, which not every kernel has,
so its evaluator is the oracle of ours (`test_evaluator.py`); the engines of CNI plugins bring a network of their own.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
from tests.cluster.netpol import policy, ruleset
from tests.cluster.node.layout import HOST
from tests.cluster.proxy import upstream

if TYPE_CHECKING:
    from pathlib import Path

PATHS = {
    "pods": "/api/v1/pods",
    "namespaces": "/api/v1/namespaces",
    "policies": "/apis/networking.k8s.io/v1/networkpolicies",
}
_SETTLE = 0.05  # seconds in which further changes join the same table
_AGAIN = 0.5
# The cluster's DNS runs on the node; policies that let pods ask it name it by the labels that it has elsewhere.
_DNS = policy.Pod("kube-system", "coredns", HOST, {"k8s-app": "kube-dns"}, {("UDP", "dns"): 53, ("TCP", "dns-tcp"): 53})


def table(objects: dict[str, dict[str, Any]]) -> str:
    """Return the nftables table for what the API server holds, by kind and by namespace/name."""
    everyone = [*policy.pods(objects["pods"].values()), _DNS]
    namespaces = {
        item["metadata"]["name"]: item["metadata"].get("labels") or {} for item in objects["namespaces"].values()
    }
    policies = list(objects["policies"].values())
    ingress = policy.isolation(policies, direction="ingress", everyone=everyone, namespaces=namespaces)
    egress = policy.isolation(policies, direction="egress", everyone=everyone, namespaces=namespaces)
    ingress.pop(HOST, None)  # what the node receives is not a pod's
    egress.pop(HOST, None)
    return ruleset.render(ingress=ingress, egress=egress)


class Engine:
    """One node's engine."""

    def __init__(self, server: str, session: aiohttp.ClientSession) -> None:
        self._server, self._session = server, session
        self._objects: dict[str, dict[str, Any]] = {}
        self._changed = asyncio.Event()
        self._applied = ""

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for kind in PATHS:
                tasks.create_task(self._follow(kind))
            tasks.create_task(self._apply())

    async def _follow(self, kind: str) -> None:
        """Keep one kind's objects as the API server has them, through its restarts."""
        while True:
            try:
                version = await self._list(kind)
                await self._watch(kind, version)
            except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError, KeyError) as error:
                sys.stdout.write(f"{kind}: {error!r}, listing again\n")
                sys.stdout.flush()
                await asyncio.sleep(_AGAIN)

    async def _list(self, kind: str) -> str:
        async with self._session.get(self._server + PATHS[kind]) as answer:
            answer.raise_for_status()
            listed = await answer.json()
        self._objects[kind] = {_key(item): item for item in listed["items"]}
        self._changed.set()
        return str(listed["metadata"]["resourceVersion"])

    async def _watch(self, kind: str, version: str) -> None:
        query = {"watch": "true", "resourceVersion": version}
        async with self._session.get(self._server + PATHS[kind], params=query) as answer:
            answer.raise_for_status()
            buffer = b""
            async for chunk in answer.content.iter_any():
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        return  # the version is too old
                    self._take(kind, event["type"], event["object"])

    def _take(self, kind: str, happened: str, item: dict[str, Any]) -> None:
        if happened == "DELETED":
            self._objects[kind].pop(_key(item), None)
        else:
            self._objects[kind][_key(item)] = item
        self._changed.set()

    async def _apply(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(_SETTLE)
            self._changed.clear()
            if set(self._objects) != set(PATHS):
                continue
            wanted = table(self._objects)
            if wanted != self._applied and await _load(wanted):
                self._applied = wanted


async def _load(text: str) -> bool:
    process = await asyncio.create_subprocess_exec("nft", "-f", "-", stdin=asyncio.subprocess.PIPE)
    await process.communicate(text.encode())
    if process.returncode:
        sys.stdout.write(f"nft refused:\n{text}\n")
        sys.stdout.flush()
    return process.returncode == 0


def _key(item: dict[str, Any]) -> str:
    return f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}"


async def serve(kubeconfig: Path) -> None:
    """Enforce the policies of the kubeconfig's cluster on this node until killed."""
    server, session = await upstream.connect(kubeconfig)
    async with session:
        await Engine(server, session).run()

"""Several Valkey servers together: a cluster of three, and a pair under a sentinel."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import redis
from tests.servers.process import ServerProcess, accepts, free_port
from tests.servers.valkey import ValkeyServer, wheel_program

if TYPE_CHECKING:
    from collections.abc import Callable

SLOTS = 16384
WAIT_SECONDS = 60.0


def ask(port: int, *command: str | int) -> Any:
    """Send one command."""
    with redis.Redis(port=port, decode_responses=True, protocol=2) as client:
        return cast("Any", client).execute_command(*command)


def until(condition: Callable[[], bool], *, what: str) -> None:
    """Wait for servers to agree."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            if condition():
                return
        except redis.RedisError:
            pass
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


class ValkeyCluster:
    """Three primaries that share the slots."""

    def __init__(self) -> None:
        self._buses = [free_port() for _ in range(3)]
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
        self.nodes = [ValkeyServer(*options, "--cluster-port", str(bus)) for bus in self._buses]

    def start(self) -> None:
        """Start the nodes, make them meet, and give each a third of the slots."""
        for number, node in enumerate(self.nodes):
            node.start()
            first, last = SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1
            ask(node.port, "CLUSTER", "ADDSLOTSRANGE", first, last)
            ask(node.port, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        here = self.nodes[0]
        for node in self.nodes[1:]:
            ask(node.port, "CLUSTER", "MEET", "127.0.0.1", here.port, self._buses[0])
        until(self._whole, what="the cluster's nodes do not agree")

    def _whole(self) -> bool:
        infos = [ask_text(node.port, "CLUSTER", "INFO") for node in self.nodes]
        return all("cluster_state:ok" in info and "cluster_known_nodes:3" in info for info in infos)

    @property
    def url(self) -> str:
        """Its address, by its first node."""
        return f"redis+cluster://127.0.0.1:{self.nodes[0].port}"

    def remove(self) -> None:
        """Stop the nodes."""
        for node in self.nodes:
            node.remove()


class SentinelGroup:
    """A primary, a replica, and a sentinel that promotes the replica when the primary is gone."""

    def __init__(self) -> None:
        self.primary = ValkeyServer()
        self.replica = ValkeyServer("--replicaof", "127.0.0.1", str(self.primary.port))
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="lean-payments-sentinel-"))
        self._process = ServerProcess(
            [wheel_program(), self._folder / "sentinel.conf", "--sentinel"],
            log=self._folder / "log",
            cwd=self._folder,
        )

    def start(self) -> None:
        """Start all three and wait until the sentinel knows the replica."""
        self.primary.start()
        self.replica.start()
        (self._folder / "sentinel.conf").write_text(
            f"port {self.port}\nbind 127.0.0.1\n"
            f"sentinel monitor payments 127.0.0.1 {self.primary.port} 1\n"
            "sentinel down-after-milliseconds payments 500\n"
            "sentinel failover-timeout payments 5000\n"
        )
        self._process.start(ready=lambda: accepts(self.port))
        until(self._knows_the_replica, what="the sentinel does not find the replica")

    def _knows_the_replica(self) -> bool:
        linked = "master_link_status:up" in ask_text(self.replica.port, "INFO", "replication")
        return linked and len(ask(self.port, "SENTINEL", "REPLICAS", "payments")) == 1

    def wait_for_failover(self) -> None:
        """Return when the replica takes writes."""
        until(
            lambda: "role:master" in ask_text(self.replica.port, "INFO", "replication"),
            what="the sentinel does not fail over",
        )

    @property
    def url(self) -> str:
        """Its address, by the sentinel."""
        return f"redis+sentinel://127.0.0.1:{self.port}/0?service=payments"

    def remove(self) -> None:
        """Stop all three."""
        self._process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
        self.replica.remove()
        self.primary.remove()


def ask_text(port: int, *command: str) -> str:
    """Send one command and return its answer as text, whatever the client makes of it."""
    answer = ask(port, *command)
    return "\n".join(f"{name}:{value}" for name, value in answer.items()) if isinstance(answer, dict) else str(answer)

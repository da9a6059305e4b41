"""The processes of a pod's containers, as this machine sees them."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def kill(pod_uid: str) -> int:
    """Send SIGKILL to the first process of each container of a pod, as the kernel does when memory is short.

    With the first process of its PID namespace every other process of the container dies, so that nothing of it is
    alive when the kubelet starts the container anew. Returns how many were killed; the sandbox lives on.
    """
    killed = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if pod_uid in _plain((process / "cgroup").read_text()) and _is_first(process):
                os.kill(int(process.name), signal.SIGKILL)
                killed += 1
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
    return killed


def _plain(cgroup: str) -> str:
    """A pod's id is spelled with underscores where systemd manages the groups."""
    return cgroup.replace("_", "-")


def _is_first(process: Path) -> bool:
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
    return status["NSpid"].split()[-1] == "1" and status["Name"] != "pause"

"""The processes of a pod's containers, as this machine sees them."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def kill(container: str) -> int:
    """Send SIGKILL to the first process of a container, as the kernel does when memory is short.

    With the first process of its PID namespace every other process of the container dies, so that nothing of it is
    alive when the kubelet starts it anew in the same pod. Returns how many were killed.

    Args:
        container: `containerID` of the pod's status, such as containerd://4c0cf6998e3e.
    """
    killed, identifier = 0, container.rpartition("/")[2]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if identifier in (process / "cgroup").read_text() and _is_first(process):
                os.kill(int(process.name), signal.SIGKILL)
                killed += 1
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
    return killed


def _is_first(process: Path) -> bool:
    lines = (process / "status").read_text().splitlines()
    return next(line for line in lines if line.startswith("NSpid:")).split()[-1] == "1"

"""Start and stop the cluster's processes, known by id and start time so that no other process is ever signalled."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tests.cluster.node.layout import Layout

Identity = tuple[int, str]  # process id, start time in clock ticks since boot


@contextmanager
def locked(place: Layout) -> Iterator[None]:
    """Be the only one who starts or stops processes of this cluster."""
    place.root.mkdir(parents=True, exist_ok=True)
    with (place.root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def identity(pid: int) -> Identity | None:
    """Return the identity of a running process, None when it is gone or only waits to be reaped."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else (pid, rest[18])


def recorded(place: Layout) -> dict[str, Identity]:
    """Return the processes that this boot started, by name."""
    path = place.run / "processes.json"
    if not path.exists():
        return {}
    return {name: (pid, started) for name, (pid, started) in json.loads(path.read_text()).items()}


def alive(place: Layout) -> dict[str, Identity]:
    """Return those that still run."""
    return {name: known for name, known in recorded(place).items() if identity(known[0]) == known}


def start(
    place: Layout, name: str, command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None
) -> None:
    """Start a daemon in its own session, its output in logs/<name>.log, and record it."""
    place.logs.mkdir(parents=True, exist_ok=True)
    with (place.logs / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=place.run,
            env=os.environ | dict(environment or {}),
        )
    known = identity(process.pid)
    assert known is not None, f"{name} ended at once"
    table = recorded(place) | {name: known}
    partial = place.run / ".processes.json"
    partial.write_text(json.dumps(table))
    partial.rename(place.run / "processes.json")
    process.returncode = 0  # it outlives us: no warning about a child that nobody waited for


def _send(known: Identity, number: signal.Signals) -> None:
    if identity(known[0]) != known:
        return
    try:
        os.kill(known[0], number)
    except ProcessLookupError:
        return


def _reap(known: Identity) -> None:
    try:
        os.waitpid(known[0], os.WNOHANG)
    except ChildProcessError:
        return


def stop(processes: Iterable[Identity], *, patience: float) -> None:
    """Ask all to end at once; kill what is left after `patience` seconds."""
    left = list(processes)
    for number, limit in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        for known in left:
            _send(known, number)
        deadline = time.monotonic() + limit
        while left and time.monotonic() < deadline:
            for known in left:
                _reap(known)
            left = [known for known in left if identity(known[0]) == known]
            time.sleep(0.02)


def mentioning(text: str) -> list[Identity]:
    """Return the processes whose command line contains the text, this one aside."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        known = identity(int(folder.name)) if text.encode() in line and int(folder.name) != os.getpid() else None
        if known:
            found.append(known)
    return found

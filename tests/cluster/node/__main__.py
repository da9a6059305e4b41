"""Commands for people: tools, up, down, status, load, addons."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.node import addons, boot, clients, images, ingress, packages, processes, programs, teardown
from tests.cluster.node.layout import INGRESS, Layout, layout
from tests.cluster.schemas import store

if TYPE_CHECKING:
    from collections.abc import Callable


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _tools(place: Layout, groups: list[str]) -> None:
    if unknown := set(groups) - programs.GROUPS.keys() - programs.PROGRAMS.keys():
        raise RuntimeError(f"no such program: {', '.join(sorted(unknown))}; there are {', '.join(programs.PROGRAMS)}")
    if packages.installable():
        packages.install(packages.RUNTIME)
    for group in groups or list(programs.GROUPS):
        if group == "core":
            clients.install(where=place)
        programs.build_all(programs.GROUPS.get(group) or (programs.PROGRAMS[group],), where=place)
        if group == "checkers":
            _say(f"schemas: {store.folder()}")
    _say(f"programs: {place.programs}")


def _up(place: Layout) -> None:
    started = time.monotonic()
    with processes.locked(place):
        boot.up(place)
    _say(f"# ready in {time.monotonic() - started:.1f} s; stop it with: make cluster-down")
    _say(f"export KUBECONFIG={place.kubeconfig}")
    _say(f"export PATH={clients.client('kubectl', where=place).parent}:$PATH")


def _down(place: Layout) -> None:
    with processes.locked(place):
        _say("cluster removed" if teardown.down(place) else "no cluster runs")


def _status(place: Layout) -> None:
    running = processes.alive(place)
    if not running:
        raise boot.ClusterError("no cluster runs (make cluster-up)")
    for name in processes.recorded(place):
        _say(f"{name:26} {'pid ' + str(running[name][0]) if name in running else 'ENDED'}")
    _say(boot.kubectl(place, "get", "nodes,pods", "--all-namespaces").rstrip())
    _say(f"export KUBECONFIG={place.kubeconfig}")


def _load(place: Layout, archives: list[str]) -> None:
    for archive in archives:
        images.load(place, Path(archive))


def _addons(place: Layout) -> None:
    with processes.locked(place):
        addons.metrics_server(place)
        addons.prometheus_operator(place)
        addons.cert_manager(place)
        addons.network_policies(place)
        ingress.start(place)
    _say(
        "# metrics, prometheus-operator, cert-manager and NetworkPolicies; Ingresses (class traefik) answer at https://"
        + INGRESS
    )


def main() -> int:
    """Run one command; 1 with a sentence when it cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.node", description=__doc__)
    parser.add_argument("command", choices=("tools", "up", "down", "status", "load", "addons"))
    parser.add_argument(
        "rest", nargs="*", help="tools: core, addons, checkers or a program's name; load: docker archives"
    )
    arguments = parser.parse_args()
    place = layout()
    commands: dict[str, Callable[[], None]] = {
        "tools": lambda: _tools(place, arguments.rest),
        "up": lambda: _up(place),
        "down": lambda: _down(place),
        "status": lambda: _status(place),
        "addons": lambda: _addons(place),
        "load": lambda: _load(place, arguments.rest),
    }
    try:
        commands[arguments.command]()
    except (boot.ClusterError, RuntimeError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"{error}\n{error.stderr or ''}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

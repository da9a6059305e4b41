"""Which of the cluster tier's modules run first, and which no longer start: pure decisions of `.ci/run`'s plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

BOOT = "tests/cluster/test_up_and_down.py"
"""Needs a machine without a cluster; every other module then shares one."""
UNKNOWN_SECONDS = 90.0
"""Expected of a module that never ran here."""
TOUCHED = {
    "service/": ("tests/cluster/test_smoke", "tests/cluster/test_service_image", "tests/cluster/chart/"),
    "simulator/": ("tests/cluster/test_smoke",),
    "chart/": ("tests/cluster/chart/", "tests/cluster/plugin/test_chart"),
    "operator/src/payment_operator/plugin/": ("tests/cluster/plugin/",),
    "operator/": ("tests/cluster/operator/", "tests/cluster/plugin/test_release"),
    "k8s/": ("tests/cluster/test_smoke",),
    "docs/operations/": ("tests/cluster/chart/test_pages", "tests/cluster/chart/test_recovery"),
    "README.md": ("tests/cluster/chart/test_readme",),
    "tests/cluster/node/": ("tests/cluster/test_up_and_down",),
    "tests/cluster/tools/": ("tests/cluster/test_up_and_down",),
}
"""Beginnings of changed paths, and of the modules that each touches; the first that matches counts."""


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of a module: when it last ran whole here, and how long that took."""

    ran: date
    seconds: float


def is_touched(module: str, *, changed: Iterable[str]) -> bool:
    """Tell whether one of the changed paths concerns the module."""
    return any(_concerns(path, module) for path in changed)


def _concerns(path: str, module: str) -> bool:
    for beginning, modules in TOUCHED.items():
        if path.startswith(beginning):
            return module.startswith(modules)
    below, _, _ = path.rpartition("/")
    return below.startswith("tests/cluster/") and module.startswith(f"{below}/")


def in_order(
    modules: Sequence[str], *, past: Mapping[str, Past], changed: Iterable[str], today: date, boot: str = BOOT
) -> list[str]:
    """Return the modules in the order in which they run.

    First the one that boots a cluster itself; then those that the change touches; within each half what was left out
    longest, what never ran before all; and among equals an order that rotates from day to day, so that also a machine
    that remembers nothing comes to every module.
    """
    changed = list(changed)
    names = sorted(modules)
    turn = {name: (index - today.toordinal()) % len(names) for index, name in enumerate(names)}

    def key(name: str) -> tuple[bool, bool, int, int]:
        last = past[name].ran.toordinal() if name in past else 0
        return name != boot, not is_touched(name, changed=changed), last, turn[name]

    return sorted(names, key=key)


def expected(module: str, *, past: Mapping[str, Past]) -> float:
    """Return the seconds that a module will probably take."""
    return past[module].seconds if module in past else UNKNOWN_SECONDS


def since(module: str, *, past: Mapping[str, Past]) -> str:
    """Say since when a module was not run here."""
    return f"not since {past[module].ran.isoformat()}" if module in past else "never on this machine"


def affordable(minutes: float, *, now: float, until: float) -> bool:
    """Tell whether work of so many minutes, begun `now`, ends by the minute `until`."""
    return now + minutes <= until

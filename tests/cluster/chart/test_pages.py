"""What the operations pages tell a person to type, typed at a release that runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cluster.chart.release import Release

pytestmark = pytest.mark.timeout(900)
PAGES = Path(__file__).parents[3] / "docs/operations"
NOT_HERE = ("JOB", "servicemonitor", "certificate", "penv")
"""A backup's Job and kinds of operators, of which this release has none: tests of their own make them."""


def test_the_commands_of_the_troubleshooting_page_work(release: Release) -> None:
    assert "canceled" in release.helm("test", release.name, "--logs", "--timeout", "120s")
    commands = re.findall(r"`((?:kubectl|helm test) [^`]+)`", (PAGES / "troubleshooting.md").read_text())
    typed = [of_the_release(release, command) for command in commands if not any(word in command for word in NOT_HERE)]
    assert len(typed) >= 12
    silent = [command for command in typed if not release.shell(command).strip()]
    assert not [command for command in silent if "logs" not in command]


def test_the_outages_page_shows_whether_the_database_answers(release: Release) -> None:
    block = re.findall(r"```\n(.*?)```", (PAGES / "outages.md").read_text(), re.DOTALL)[0]
    pods, forward, ask = of_the_release(release, block).splitlines()
    patient = f"curl --retry 20 --retry-connrefused --retry-delay 1 {ask.removeprefix('curl ')}"
    said = release.shell(f"{pods}\n{forward}\ntrap 'kill $!' EXIT\n{patient}")
    assert '"database":true' in said.replace(" ", "")


def of_the_release(release: Release, command: str) -> str:
    """The command with this release's names."""
    pod = release.pods("api")[0]["metadata"]["name"]
    return (
        release.named(command.replace("helm test payments ", f"helm test {release.name} "))
        .replace(" POD", f" {pod}")
        .replace("9090 &", "19090:9090 >/dev/null &")
        .replace("localhost:9090", "localhost:19090")
    )

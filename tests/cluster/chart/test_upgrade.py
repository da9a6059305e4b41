"""A failed migration, an upgrade with a migration and a rollback, each under constant load without a failed request."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.chart import next_version
from tests.cluster.chart.loading import loaded
from tests.cluster.chart.release import HelmFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.chart.release import Release

pytestmark = pytest.mark.timeout(1800)
PAGE = Path(__file__).parents[3] / "docs/operations/install.md"
COLUMN = "SELECT column_name FROM information_schema.columns WHERE column_name = 'note_of_next'"


def test_no_request_fails_during_a_failed_migration_an_upgrade_and_a_rollback(
    release: Release,
    whole: bool,  # noqa: FBT001 - a fixture
    say: Callable[[str], None],
    tmp_path: Path,
) -> None:
    former, schema = serving(release), schema_number(release)
    revision = json.loads(release.helm("history", release.name, "--output", "json"))[-1]["revision"]
    release.image = next_version.image(tmp_path)

    release.psql(next_version.REFUSE)
    with loaded(release, "failed migration", whole=whole, say=say), pytest.raises(HelmFailed) as failure:
        release.upgrade()
    for part in ("pre-upgrade", "division by zero"):
        assert part in str(failure.value)
    assert (serving(release), schema_number(release)) == (former, schema)

    release.psql(next_version.ALLOW)
    with loaded(release, "upgrade with a migration", whole=whole, say=say):
        release.upgrade()
    assert {image for _, image in serving(release)} == {release.image}
    assert schema_number(release) == schema + 1

    with loaded(release, "rollback", whole=whole, say=say):
        release.rollback(str(revision))
        release.image = ""
    assert {image for _, image in serving(release)} == {image for _, image in former}
    assert schema_number(release) == schema + 1


def test_a_contract_migration_runs_only_by_the_documented_commands(
    release: Release, say: Callable[[str], None], tmp_path: Path
) -> None:
    before = schema_number(release)
    release.image = next_version.image(tmp_path, name="payments-service-contract", contract=True)
    try:
        release.upgrade()
        expanded = schema_number(release)
        assert release.namespace.until(lambda: images(release) == {release.image}, seconds=180), images(release)
        said = release.shell(contract_commands(release))
    finally:
        release.image = ""
        release.upgrade()
    assert expanded <= before + 1
    assert release.namespace.images["service"] not in said, "a pod of the older image was still there"
    assert "1 wait" not in said
    assert schema_number(release) == expanded + 1
    assert not release.psql(COLUMN)
    say(f"schema {before}: {expanded} by the upgrade, {expanded + 1} by the contract migration")


def images(release: Release) -> set[str]:
    """Return what the pods of API and worker run, those that are ending too."""
    pods = [*release.pods("api"), *release.pods("worker")]
    return {container["image"] for pod in pods for container in pod["spec"]["containers"]}


def contract_commands(release: Release) -> str:
    """Return what docs/operations/install.md says to type, with this release's names."""
    blocks: list[str] = re.findall(r"```\n(.*?)```", PAGE.read_text(), re.DOTALL)
    block = next(block for block in blocks if "-contract-1" in block)
    return release.named(block)


def serving(release: Release) -> set[tuple[str, str]]:
    """Return name and image of the API pods that are not ending."""

    def named(pod: dict[str, Any]) -> tuple[str, str]:
        return pod["metadata"]["name"], pod["spec"]["containers"][0]["image"]

    return {named(pod) for pod in release.pods("api") if "deletionTimestamp" not in pod["metadata"]}


def schema_number(release: Release) -> int:
    """Return the number of the newest migration that has run."""
    return int(release.psql("SELECT max(number) FROM schema_versions"))

"""Backup by the chart's CronJob, the database destroyed, the documented restore, the same rows."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.chart.release import CHART
from tests.cluster.node import volumes
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.chart.release import Release

pytestmark = pytest.mark.timeout(1200)
PAGE = Path(__file__).parents[3] / "docs/operations/disaster-recovery.md"
CLAIM = "payment-backups"
TABLES = ("events", "subscriptions", "customers", "operations", "api_keys", "audit_log", "schema_versions")


def test_the_documented_restore_brings_the_same_rows_back(release: Release, say: Callable[[str], None]) -> None:
    give_a_claim(release)
    with release.webhooks(seconds=4, rate=100, fresh=20) as load:
        assert load.result()["failed"] == 0
    image = release.namespace.images["backup"]
    release.values = {"backup": {"enabled": True, "existingClaim": CLAIM, "image": image, "userId": 10001}}
    release.upgrade()
    job = "backup-by-hand"
    release.namespace.kubectl("create", "job", f"--from=cronjob/{release.fullname}-backup", job)
    release.namespace.kubectl("wait", f"job/{job}", "--for=condition=Complete", "--timeout=120s")
    said = release.namespace.kubectl("logs", f"job/{job}")
    assert "verified payments-" in said
    before = contents(release)
    started = time.monotonic()
    run_the_page(release)
    say(f"restored {before['events'].split('|')[0]} events and everything else in {time.monotonic() - started:.0f} s")
    assert contents(release) == before
    assert "ok   canceled" in release.helm("test", release.name, "--logs", "--timeout", "120s")


def give_a_claim(release: Release) -> None:
    """Make the claim for the dumps, and on our own node its volume."""
    place = release.namespace.cluster.place
    require(place, what="our own node's volumes", command="unset TEST_KUBECONFIG")
    assert place is not None
    name = f"{release.namespace.name}-backups"
    volume = volumes.provide(place, name, claim=(release.namespace.name, CLAIM))
    release.namespace.cluster.kubectl("apply", "-f", "-", stdin=volume)
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM}, "spec": spec}
    release.namespace.kubectl("apply", "-f", "-", stdin=json.dumps(claim))


def run_the_page(release: Release) -> None:
    """Type what docs/operations/disaster-recovery.md says, with this release's names; destroy the database midway."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    stop, restore, start, wait = (
        release.named(block.replace("helm upgrade payments ./chart", f"helm upgrade {release.name} {CHART}"))
        for block in blocks
    )
    release.shell(stop)
    release.psql("DROP DATABASE payments WITH (FORCE)", database="postgres", role="postgres")
    release.psql("CREATE DATABASE payments OWNER payments_owner", database="postgres", role="postgres")
    release.shell(restore)
    release.shell(start)
    release.shell(wait)


def contents(release: Release) -> dict[str, str]:
    """Return the number of rows of each table and a digest over them; what the worker writes meanwhile is left out.

    So is what the restore itself leaves: events of the comparison with Stripe, and two lines of the audit log.
    """
    digest = "md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), ''))"
    own = {"events": "WHERE source <> 'reconcile'", "audit_log": "WHERE action NOT LIKE 'recovery.%'"}
    query = "SELECT count(*), {digest} FROM {table} t {own}"
    return {table: release.psql(query.format(digest=digest, table=table, own=own.get(table, ""))) for table in TABLES}

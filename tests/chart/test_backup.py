from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.chart.tools import CHART
from tests.servers.postgres import server_user, wheel_programs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.postgres import PostgresServer

PLACES = {"/run/secrets/payments": "secret", "/scratch": "scratch"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Stands for the pod's volumes; short, because PostgreSQL's socket lies in it."""
    place = Path(tempfile.mkdtemp(prefix="lp-backup-"))
    for name in (*PLACES.values(), "backups"):
        (place / name).mkdir()
    if user := server_user():
        for path in (place, *place.iterdir()):
            shutil.chown(path, user, "nogroup")
    yield place
    shutil.rmtree(place)


def run_as_server_user(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    user = server_user()
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        user=user,
        group=user and "nogroup",
        extra_groups=[] if user else None,
        cwd=folder,
        env={
            "PATH": f"{wheel_programs()}:{os.environ['PATH']}",
            "RETENTION_DAYS": "30",
            "LC_ALL": "C.UTF-8",
            "DUMPS": str(folder / "backups"),
        },
    )


def back_up(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    script = (CHART / "files" / "backup.sh").read_text()
    for inside, outside in PLACES.items():
        script = script.replace(inside, str(folder / outside))
    (folder / "secret" / "DATABASE_URL").write_text(url)
    return run_as_server_user("sh", "-c", script, folder=folder)


def test_a_destroyed_database_has_the_same_rows_after_the_documented_restore(
    postgres_server: PostgresServer, folder: Path
) -> None:
    url = postgres_server.new_database()
    database = url.rpartition("/")[2]
    postgres_server.execute("CREATE TABLE paid AS SELECT n FROM generate_series(1, 1000) n", database=database)
    result = back_up(folder, url)
    assert result.returncode == 0, result.stderr
    (dump,) = (folder / "backups").iterdir()
    postgres_server.execute(f"DROP DATABASE {database}")
    postgres_server.execute(f"CREATE DATABASE {database}")
    restore = ("pg_restore", "--exit-on-error", "--no-owner", "--no-acl", f"--dbname={url}", dump)
    restored = run_as_server_user(*restore, folder=folder)
    assert restored.returncode == 0, restored.stderr
    (row,) = postgres_server.execute("SELECT count(*), sum(n) FROM paid", database=database)
    assert tuple(row) == (1000, 500500)


def test_a_dump_without_tables_is_not_kept(postgres_url: str, folder: Path) -> None:
    result = back_up(folder, postgres_url)
    assert result.returncode != 0
    assert "no tables" in result.stderr
    assert not list((folder / "backups").iterdir())


def test_an_unreachable_database_fails_the_backup(folder: Path) -> None:
    result = back_up(folder, "postgresql://postgres@127.0.0.1:1/none")
    assert result.returncode != 0
    assert not list((folder / "backups").iterdir())

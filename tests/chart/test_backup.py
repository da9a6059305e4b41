from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from tests.chart.tools import CHART
from tests.servers.postgres import server_user, wheel_programs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.postgres import PostgresServer

PLACES = {"/run/secrets/payments": "secret", "/scratch": "scratch", "/dumps": "backups"}
PASSWORD = "a%/:\\b c@'?é "
ENCODED = quote(PASSWORD, safe="")
WATCH = """#!/bin/sh
echo "$0 $*" >> {log}/commands
[ ! -e {log}/waits ] || exec sleep 60
cp -p {log}/scratch/login/password {log}/seen 2>/dev/null
exec {programs}/{program} "$@"
"""
CURSORS = "CREATE TABLE cursors (name text PRIMARY KEY, value jsonb, updated_at timestamptz)"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Stands for the pod's volumes; short, because PostgreSQL's socket lies in it."""
    place = Path(tempfile.mkdtemp(prefix="lp-backup-"))
    for name in PLACES.values():
        (place / name).mkdir()
    if user := server_user():
        for path in (place, *place.iterdir()):
            shutil.chown(path, user, "nogroup")
    yield place
    shutil.rmtree(place)


@pytest.fixture
def guarded(postgres_server: PostgresServer) -> str:
    """The address of a database with rows whose owner needs a password."""
    name = postgres_server.new_database().rpartition("/")[2]
    rules = postgres_server.folder / "data" / "pg_hba.conf"
    rule = "host all guarded 127.0.0.1/32 scram-sha-256\n"
    if rule not in rules.read_text():
        rules.write_text(rule + rules.read_text())
        postgres_server.execute("SELECT pg_reload_conf()")
        postgres_server.execute("CREATE ROLE guarded SUPERUSER LOGIN")
    literal = PASSWORD.replace("'", "''")
    postgres_server.execute(f"ALTER ROLE guarded PASSWORD '{literal}'")
    postgres_server.execute(CURSORS, database=name)
    return postgres_server.url(name, user=f"guarded:{ENCODED}")


def start_as_server_user(*command: str | Path, folder: Path) -> subprocess.Popen[str]:
    user = server_user()
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        user=user,
        group=user and "nogroup",
        extra_groups=[] if user else None,
        cwd=folder,
        env={
            "PATH": f"{folder / 'programs'}:{wheel_programs()}:{os.environ['PATH']}",
            "RETENTION_DAYS": "30",
            "LC_ALL": "C.UTF-8",
            "DUMPS": str(folder / "backups"),
        },
    )


def run_as_server_user(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    process = start_as_server_user(*command, folder=folder)
    said, complained = process.communicate(timeout=120)
    return subprocess.CompletedProcess(command, process.returncode, said, complained)


def script_of(name: str, folder: Path, url: str) -> str:
    """What the container runs, with the scratch volume that a new pod has."""
    shutil.rmtree(folder / "scratch")
    (folder / "scratch").mkdir()
    if user := server_user():
        shutil.chown(folder / "scratch", user, "nogroup")
    script = "".join((CHART / "files" / f"{part}.sh").read_text() for part in ("login", name))
    for inside, outside in PLACES.items():
        script = script.replace(inside, str(folder / outside))
    (folder / "secret" / "DATABASE_URL").write_text(url)
    return script


def back_up(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    return run_as_server_user("sh", "-c", script_of("backup", folder, url), folder=folder)


def restore(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    return run_as_server_user("sh", "-c", script_of("restore", folder, url), folder=folder)


def watch(folder: Path) -> Path:
    """Note what the clients are called with; the file that is returned has it."""
    (folder / "programs").mkdir()
    for program in ("pg_dump", "pg_restore", "psql"):
        file = folder / "programs" / program
        found = shutil.which(program, path=f"{wheel_programs()}:{os.environ['PATH']}")
        assert found is not None
        file.write_text(WATCH.format(log=folder, programs=Path(found).parent, program=program))
        file.chmod(0o755)
    return folder / "commands"


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


def test_the_password_stands_in_no_command_and_in_one_file_that_goes(
    postgres_server: PostgresServer, guarded: str, folder: Path
) -> None:
    log = watch(folder)
    new = postgres_server.url(postgres_server.new_database().rpartition("/")[2], user=f"guarded:{ENCODED}")
    for result in (back_up(folder, guarded), restore(folder, new)):
        assert result.returncode == 0, result.stderr
        assert (stat.S_IMODE((folder / "seen").stat().st_mode), (folder / "scratch/login").exists()) == (0o600, False)
        said = log.read_text() + result.stdout + result.stderr
        assert [part for part in (PASSWORD, ENCODED, "guarded", "127.0.0.1") if part in said] == []
    assert {line.split()[0].rpartition("/")[2] for line in log.read_text().splitlines()} >= {"pg_dump", "pg_restore"}
    (row,) = postgres_server.execute("SELECT value->>'reason' FROM cursors", database=new.rpartition("/")[2])
    assert row[0].startswith("restored payments-")


def test_of_several_hosts_the_one_that_answers_is_taken_with_the_parameters_of_the_address(
    guarded: str, folder: Path
) -> None:
    several = guarded.replace("@", "@127.0.0.1:1,") + "?target_session_attrs=read-write&sslmode=disable"
    result = back_up(folder, several.replace("postgresql://", "postgresql+asyncpg://"))
    assert result.returncode == 0, result.stderr
    refused = back_up(folder, f"{guarded}?sslmode=require")
    assert 'sslmode value "require"' in refused.stderr, "the wheel's clients have no TLS"


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://eva:se%cret@127.0.0.1:1/payments",
        "postgresql://eva:se/cret@127.0.0.1:1/payments",
        "postgresql://eva:12/cret@127.0.0.1:1/payments",
        "postgresql://eva:se@cret@127.0.0.1:1/payments",
        "postgresql://eva:12/3?cret@127.0.0.1:1/payments",
        "postgresql://eva:se cret@127.0.0.1:1/payments",
        "postgresql://eva:se%0Acret@127.0.0.1:1/payments",
        "mariadb://eva:cret@127.0.0.1:1/payments",
        "host=127.0.0.1 password=cret",
        "",
    ],
)
def test_an_address_that_cannot_be_read_is_refused_and_not_said(folder: Path, address: str) -> None:
    result = back_up(folder, address)
    assert result.returncode == 1
    assert result.stderr.startswith("the database's address cannot be read: it is postgresql://USER:PASSWORD@")
    assert [part for part in ("cret", "eva", "se%", "127") if part in result.stdout + result.stderr] == []
    assert not (folder / "scratch/login").exists()


def test_a_backup_that_is_told_to_end_does_and_leaves_nothing(guarded: str, folder: Path) -> None:
    log = watch(folder)
    (folder / "waits").touch()
    killed = folder / "backups" / "payments-20260101T000000Z.dump.part"
    killed.touch()
    process = start_as_server_user("sh", "-c", script_of("backup", folder, guarded), folder=folder)
    deadline = time.monotonic() + 30
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert not killed.exists()
    assert (list((folder / "backups").iterdir()), (folder / "scratch/login").exists()) == ([], False)

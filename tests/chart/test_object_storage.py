"""The scripts that bring dumps to object storage and back, by the real rclone on a real S3 server (rclone's)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.chart.tools import CHART
from tests.servers.process import ServerProcess, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

RCLONE = Path(sys.executable).with_name("rclone")
TARGET = "store:backups/payments"
DAY = 86_400


@contextmanager
def object_store(folder: Path) -> Iterator[dict[str, str]]:
    """Run the server on a folder; yields the environment that the chart's Secret would hold."""
    (folder / "store" / "backups").mkdir(parents=True)
    port = free_port()
    listen = ("--addr", f"127.0.0.1:{port}", "--auth-key", "access,secret")
    server = ServerProcess([RCLONE, "serve", "s3", *listen, folder / "store"], log=folder / "s3.log")
    environment = {
        "RCLONE_CONFIG": str(folder / "none.conf"),
        "RCLONE_CONFIG_STORE_TYPE": "s3",
        "RCLONE_CONFIG_STORE_PROVIDER": "Rclone",
        "RCLONE_CONFIG_STORE_ENDPOINT": f"http://127.0.0.1:{port}",
        "RCLONE_CONFIG_STORE_ACCESS_KEY_ID": "access",
        "RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY": "secret",
    }
    server.start(ready=lambda: rclone("lsd", "store:", environment=environment).returncode == 0)
    try:
        yield environment
    finally:
        server.stop()


def rclone(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [str(RCLONE), *arguments, "--low-level-retries", "1", "--retries", "1"]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | environment)


def run(name: str, dumps: Path, environment: dict[str, str], **more: str) -> subprocess.CompletedProcess[str]:
    script = (CHART / "files" / f"{name}.sh").read_text().replace("/dumps", str(dumps))
    variables = {"PATH": f"{RCLONE.parent}:{os.environ['PATH']}", "OBJECT_PATH": TARGET, "RETENTION_DAYS": "30"}
    return subprocess.run(
        ["sh", "-c", script], check=False, capture_output=True, text=True, env=variables | environment | more
    )


def dump(folder: Path, name: str, *, days: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(name.encode() * 1000)
    os.utime(path, (time.time() - days * DAY,) * 2)
    return path


@pytest.mark.timeout(180)
def test_dumps_go_to_the_object_storage_old_ones_end_and_the_newest_comes_back(tmp_path: Path) -> None:
    with object_store(tmp_path) as environment:
        for number, (name, days) in enumerate(
            (("payments-1.dump", 31), ("payments-2.dump", 3), ("payments-3.dump", 0))
        ):
            made = dump(tmp_path / f"dumps-{number}", name, days=days)
            done = run("upload", made.parent, environment)
            assert done.returncode == 0, done.stderr
        stored = rclone("lsf", TARGET, environment=environment).stdout.split()
        assert stored == ["payments-2.dump", "payments-3.dump"]
        fetched = tmp_path / "fetched"
        done = run("download", fetched, environment)
        assert done.returncode == 0, done.stderr
        assert (fetched / "payments-3.dump").read_bytes() == b"payments-3.dump" * 1000
        assert run("download", fetched, environment, DUMP="payments-2.dump").returncode == 0
        assert sorted(path.name for path in fetched.iterdir()) == ["payments-2.dump", "payments-3.dump"]


@pytest.mark.timeout(180)
def test_a_failing_upload_or_an_empty_store_fails_the_job(tmp_path: Path) -> None:
    made = dump(tmp_path / "dumps", "payments-1.dump")
    with object_store(tmp_path) as environment:
        nothing = run("download", tmp_path / "fetched", environment)
        assert nothing.returncode != 0
        assert "there is no dump" in nothing.stderr
        wrong = environment | {"RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY": "wrong", "RCLONE_RETRIES": "1"}
        assert run("upload", made.parent, wrong).returncode != 0

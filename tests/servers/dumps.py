"""The chart's scripts that dump and restore MariaDB, run as their containers run them, in a folder of the test's."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.requirements import require
from tests.servers.mariadb import server_user

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPTS: Final = Path(__file__).parents[2] / "chart" / "files" / "mariadb"
PLACES: Final = {"/run/secrets/payments": "secret", "/scratch": "scratch", "/dumps": "dumps"}
LOGIN: Final = (SCRIPTS / "login.sh").read_text()


@contextmanager
def pod() -> Iterator[Path]:
    """The volumes of a pod; short, because a socket lies in them."""
    require(shutil.which("mariadb-dump"), what="mariadb-dump", command="apt-get install mariadb-client")
    folder = Path(tempfile.mkdtemp(prefix="lp-dump-"))
    try:
        for name in PLACES.values():
            (folder / name).mkdir()
        _give(folder)
        yield folder
    finally:
        shutil.rmtree(folder)


def run(name: str, folder: Path, *, url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `backup` or `restore`, with the scratch volume that a new pod has."""
    shutil.rmtree(folder / "scratch")
    (folder / "scratch").mkdir()
    _give(folder)
    return say(LOGIN + (SCRIPTS / f"{name}.sh").read_text(), folder, url=url, **environment)


def say(script: str, folder: Path, *, url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script, with the address where a container has it."""
    for inside, outside in PLACES.items():
        script = script.replace(inside, str(folder / outside))
    (folder / "secret" / "DATABASE_URL").write_text(url)
    user = server_user()
    return subprocess.run(
        ["sh", "-c", script],
        check=False,
        capture_output=True,
        text=True,
        user=user,
        group=user and "nogroup",
        extra_groups=[] if user else None,
        cwd=folder,
        env={
            "PATH": f"{os.environ['PATH']}:/usr/sbin",
            "DUMPS": str(folder / "dumps"),
            "RETENTION_DAYS": "30",
            **environment,
        },
    )


def _give(folder: Path) -> None:
    if user := server_user():
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, user, "nogroup")

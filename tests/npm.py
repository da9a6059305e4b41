"""Programs and libraries of npm, installed once in `tests/contract/typescript` from its lock file."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

from tests.requirements import require

FOLDER = Path(__file__).parent / "contract" / "typescript"


def install() -> None:
    """Install the packages, unless they are."""
    npm = shutil.which("npm")
    require(npm, what="npm", command="apt-get install nodejs npm")
    assert npm is not None
    lock = FOLDER / "package-lock.json"
    installed = FOLDER / "node_modules" / ".package-lock.json"
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # other processes of this run want them too
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            command = [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"]
            subprocess.run(command, cwd=FOLDER, check=True, timeout=300)


def run(program: str, *arguments: str | Path) -> str:
    """Run one of the programs and return what it says."""
    found = [FOLDER / "node_modules" / ".bin" / program, *arguments]
    answer = subprocess.run(found, cwd=FOLDER, capture_output=True, text=True, check=False, timeout=110)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout + answer.stderr

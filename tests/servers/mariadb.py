"""A real MariaDB server: Debian's package, in a folder, on a port and a socket of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.servers.process import ServerProcess, free_port, remove_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM: Final = Path("/usr/sbin/mariadbd")
FAST: Final = {"innodb-flush-log-at-trx-commit": "0", "innodb-doublewrite": "0", "sync-binlog": "0"}
DURABLE: Final = {"innodb-flush-log-at-trx-commit": "1"}
TLS: Final = {"ssl-cert": "server.crt", "ssl-key": "server.key", "require-secure-transport": "ON"}
"""Of the certificate that it was given, from the folder of its data; only the socket is taken in plain text."""
USER: Final = "payments"
PASSWORD: Final = "mariadb-password"


class MariaDBServer:
    """One server with its data folder."""

    def __init__(self, *, settings: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="lean-payments-mariadb-"))
        self.socket = self.folder / "socket"
        self._databases = 0
        settings = {"innodb-buffer-pool-size": "64M", **(FAST if settings is None else settings)}
        self._process = ServerProcess(
            [
                PROGRAM,
                "--no-defaults",
                f"--datadir={self.folder / 'data'}",
                f"--socket={self.socket}",
                f"--pid-file={self.folder / 'pid'}",
                f"--port={self.port}",
                "--bind-address=127.0.0.1",
                "--skip-name-resolve",
                *(f"--{name}={value}" for name, value in settings.items()),
            ],
            log=self.folder / "log",
            user=server_user(),
            cwd=self.folder,
        )

    def create(self) -> None:
        """Make the data folder, and a login that may do everything."""
        user = server_user()
        if user:
            shutil.chown(self.folder, user, "nogroup")
        subprocess.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                f"--datadir={self.folder / 'data'}",
                "--skip-test-db",
                "--auth-root-authentication-method=normal",  # no password: the tests' user need not be root
            ],
            check=True,
            capture_output=True,
            user=user,
            group=user and "nogroup",
            extra_groups=[] if user else None,
            cwd=self.folder,
        )
        (self.folder / "init.sql").write_text(
            f"CREATE USER {USER}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO {USER}@'127.0.0.1' WITH GRANT OPTION;\n"
        )

    def take_certificate(self, certificate: Path, key: Path) -> None:
        """Have it where the settings `TLS` name it: call it before the start."""
        for source, name in ((certificate, "server.crt"), (key, "server.key")):
            target = self.folder / "data" / name
            shutil.copy(source, target)
            target.chmod(0o600)
            if user := server_user():
                shutil.chown(target, user, "nogroup")

    def start(self) -> None:
        """Start and wait until it takes queries."""
        self._process.start(ready=self._answers)
        login = self.folder / "init.sql"
        if login.exists():
            self.execute(login.read_text())
            login.unlink()

    def stop(self) -> None:
        """Stop in order."""
        self._process.stop()

    def kill(self) -> None:
        """Kill the process; it recovers from its log at the next start."""
        self._process.kill()

    def pause(self) -> None:
        """Freeze it."""
        self._process.pause()

    def resume(self) -> None:
        """Thaw it."""
        self._process.resume()

    def remove(self) -> None:
        """Stop and remove the data."""
        self.stop()
        remove_folder(self.folder)

    def url(self, database: str, *, user: str = USER, password: str = PASSWORD) -> str:
        """Return the address of a database."""
        return f"mariadb://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Create a database and return its address."""
        self._databases += 1
        name = f"test_{self._databases}"
        self.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")
        return self.url(name)

    def empty(self, database: str) -> None:
        """Take the rows out of a migrated database; what was migrated stays noted."""
        listed = self.execute(
            "SELECT table_name FROM information_schema.tables "
            f"WHERE table_schema = '{database}' AND table_name NOT IN ('schema_versions', 'alembic_version')"
        )
        tables = listed.split()[1:]
        held = " UNION ALL ".join(f"(SELECT '{table}' FROM `{table}` LIMIT 1)" for table in tables)
        filled = self.execute(held, database=database).split()[1:]
        self.execute("".join(f"TRUNCATE `{table}`;\n" for table in filled), database=database)

    def execute(self, statements: str, *, database: str = "") -> str:
        """Run statements as the superuser, and return what the client prints."""
        done = subprocess.run(
            [
                "mariadb",
                "--no-defaults",
                f"--socket={self.socket}",
                "--user=root",
                "--batch",
                *filter(None, [database]),
            ],
            input=statements,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OSError(done.stderr)
        return done.stdout

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except OSError:
            return False
        return True


def server_user() -> str | None:
    """It refuses to run as root; then it runs as nobody."""

    return "nobody" if os.geteuid() == 0 else None

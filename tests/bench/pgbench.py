"""Arm P: pgbench, prepared, one row a transaction, the same body as a parameter."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from tests.bench.session import LOAD_CPU, UnequalWork
from tests.servers.postgres import wheel_programs

if TYPE_CHECKING:
    from tests.bench.session import Session

_TABLE = (
    "CREATE TABLE inserted (id text PRIMARY KEY, type text NOT NULL, payload text NOT NULL, "
    "received_at timestamptz NOT NULL DEFAULT now()); CREATE SEQUENCE numbers CACHE 100"
)
_SCRIPT = (
    "INSERT INTO inserted (id, type, payload) "
    "VALUES ('evt_' || nextval('numbers'), 'customer.subscription.created', :body);\n"
)


class PgBench:
    """Inserts single rows as fast as PostgreSQL's own client can."""

    name = "P"

    def __init__(self, session: Session) -> None:
        self._session = session
        self.database = ""

    def prepare(self) -> None:
        """Make the table and the script."""
        machine = self._session.machine
        self.database = machine.postgres.new_database()
        machine.query(self.database, _TABLE.partition("; ")[0])
        machine.query(self.database, _TABLE.partition("; ")[2])
        self._script = machine.folder / "insert.sql"
        self._script.write_text(_SCRIPT)

    def run(self, *, clients: int, seconds: float) -> tuple[float, float]:
        """Return transactions per second and the mean latency in milliseconds.

        Raises:
            UnequalWork: the rows are not as many as the transactions.
        """
        machine = self._session.machine
        before = machine.count(self.database, "SELECT count(*) FROM inserted")
        done = subprocess.run(
            [
                *("taskset", "--cpu-list", str(LOAD_CPU), wheel_programs() / "pgbench", "--no-vacuum"),
                *("--protocol", "prepared", "--client", str(clients), "--file", self._script),
                *("--time", str(max(1, round(seconds * self._session.pace))), "--define"),
                *(f"body={machine.event_body.decode()}", self.database),
            ],
            check=True,
            capture_output=True,
            text=True,
        )
        made = machine.count(self.database, "SELECT count(*) FROM inserted") - before
        counted = int(_number(r"actually processed: (\d+)", done.stdout))
        if made != counted:
            raise UnequalWork(f"pgbench: {counted} transactions made {made} rows")
        return _number(r"tps = ([\d.]+)", done.stdout), _number(r"latency average = ([\d.]+)", done.stdout)


def _number(pattern: str, text: str) -> float:
    match = re.search(pattern, text)
    assert match is not None, text
    return float(match[1])

"""The arms: ours with production settings, and what it is measured against."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil  # type: ignore[import-untyped] # ships no types
from tests.bench.environments import PEERS, peer_python, service_programs
from tests.bench.machine import SECRET_KEY, STRIPE_KEY, WEBHOOK_SECRET
from tests.servers.process import ServerProcess, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bench.machine import Machine


class Arm:
    """One server under load.

    Args:
        name: in the report.
        machine: what it stands on.
    """

    health = "/health"
    webhook = "/api/v1/webhooks/stripe"
    events = "SELECT count(*) FROM events"
    keep_alive = True

    def __init__(self, name: str, machine: Machine) -> None:
        self.name = name
        self.machine = machine
        self.port = free_port()
        self.database = ""
        self._process: ServerProcess | None = None

    def prepare(self) -> None:
        """Make the database and whatever else is needed once."""

    def command(self) -> Sequence[str | Path]:
        """Return the server's command line."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Return the server's environment variables."""
        return {}

    def start(self) -> None:
        """Start and wait until it answers."""
        environ = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self._process = ServerProcess(
            self.command(),
            log=self.machine.folder / f"{self.name.replace(' ', '-')}.log",
            cwd=self.machine.folder,
            env={**environ, **self.environment()},
        )
        self._process.start(ready=self.answers)

    def answers(self) -> bool:
        """Tell whether it serves."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}{self.health}", timeout=2).status_code < 500
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def processes(self) -> list[psutil.Process]:
        """Return its processes."""
        assert self._process is not None
        main = psutil.Process(self._process.pid)
        return [main, *main.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Return the processor time it has used."""
        return sum(sum(process.cpu_times()[:2]) for process in self.processes())

    def memory_mib(self) -> float:
        """Return its resident memory in MiB."""
        return float(sum(process.memory_info().rss for process in self.processes())) / 2**20

    def count_events(self) -> int:
        """Return how many events it has stored."""
        return self.machine.count(self.database, self.events)


class Raw(Arm):
    """R: a raw ASGI application on the service's uvicorn settings."""

    def __init__(self, machine: Machine) -> None:
        super().__init__("R", machine)

    def command(self) -> Sequence[str | Path]:
        return [service_programs() / "python", PEERS / "raw.py", str(self.port)]


class Ours(Arm):
    """The service, with access control, limiter, idempotency, metrics and logs on."""

    health = "/health/live"

    def __init__(self, machine: Machine, *, name: str = "ours", database: str = "", **settings: str) -> None:
        super().__init__(name, machine)
        self.database = database
        self.admin_port = free_port()
        self.api_key = ""
        self._settings = settings

    def prepare(self) -> None:
        if not self.database:
            self.database = self.machine.postgres.new_database()
            self.payments("migrate")
            self.payments("import")  # as the worker does once in a database's life, else addresses answer 409
        self.api_key = self.payments("keys", "create", "bench", "--scope", "write").strip()

    def payments(self, *arguments: str) -> str:
        """Run the command line with these settings and return what it prints."""
        environ = {**os.environ, **self.environment()}
        command: list[str | Path] = [service_programs() / "payments", *arguments]
        done = subprocess.run(
            command, env=environ, cwd=self.machine.folder, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        return done.stdout.decode()

    def command(self) -> Sequence[str | Path]:
        return [service_programs() / "payments", "serve", "--host", "127.0.0.1", "--port", str(self.port)]

    def environment(self) -> Mapping[str, str]:
        return {
            "ENVIRONMENT": "production",
            "PAYMENTS_STRIPE_MODE": "test",
            "DATABASE_URL": self.database,
            "REDIS_URL": self.machine.valkey.url,
            "STRIPE_SECRET_KEY": STRIPE_KEY,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "STRIPE_API_BASE": self.machine.stripe_url,
            "SECRET_KEY": SECRET_KEY,
            "PAYMENTS_ADMIN_HOST": "127.0.0.1",
            "PAYMENTS_ADMIN_PORT": str(self.admin_port),
            "PAYMENTS_CREATE_LIMIT_PER_MINUTE": "1000000",
            "PAYMENTS_ADDRESS_LIMIT_PER_MINUTE": "100000000",
            "PAYMENTS_KEY_LIMIT_PER_MINUTE": "100000000",
            "PAYMENTS_REQUESTS_IN_FLIGHT": "0",
            "PAYMENTS_DRAIN_SECONDS": "0",
            **self._settings,
        }


class Worker(Ours):
    """The service's worker."""

    health = "/health/live"

    def __init__(self, machine: Machine, *, name: str, database: str, **settings: str) -> None:
        super().__init__(machine, name=name, database=database, **settings)
        self.port = self.admin_port

    def prepare(self) -> None:
        """Nothing: the API's database is used."""

    def command(self) -> Sequence[str | Path]:
        return [service_programs() / "payments", "worker"]


class Seed(Arm):
    """S: the deployment guide's stack."""

    def __init__(self, machine: Machine) -> None:
        super().__init__("S", machine)
        self._python = Path(sys.executable)

    def prepare(self) -> None:
        self.database = self.machine.postgres.new_database()
        self._python = peer_python("seed")

    def command(self) -> Sequence[str | Path]:
        options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--timeout-keep-alive", "65"]
        application: list[str | Path] = ["app:app", "--app-dir", PEERS / "seed", "--port", str(self.port)]
        return [self._python, "-m", "uvicorn", *application, *options]

    def environment(self) -> Mapping[str, str]:
        return {
            "DATABASE_URL": self.database.replace("postgresql://", "postgresql+asyncpg://"),
            "REDIS_URL": self.machine.valkey.url,
            "STRIPE_SECRET_KEY": STRIPE_KEY,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "STRIPE_API_BASE": self.machine.stripe_url,
        }


class DjStripe(Arm):
    """D: dj-stripe's view on gunicorn."""

    health = "/"
    events = "SELECT count(*) FROM djstripe_webhookeventtrigger WHERE valid"

    def __init__(self, machine: Machine, *, name: str, options: Sequence[str]) -> None:
        super().__init__(name, machine)
        self._options = options
        self._python = Path(sys.executable)

    def prepare(self) -> None:
        self._python = peer_python("djstripe_site")
        self.database = self.machine.postgres.new_database()
        site = PEERS / "djstripe_site"
        environ = {**os.environ, **self.environment()}
        uuid = subprocess.run(
            [self._python, "site_prepare.py"], cwd=site, env=environ, check=True, stdout=subprocess.PIPE, text=True
        ).stdout
        self.webhook = f"/stripe/webhook/{uuid}/"

    def share(self, other: DjStripe) -> None:
        """Use the database of another arm: dj-stripe's migrations take half a minute."""
        self.database, self.webhook, self._python = other.database, other.webhook, other._python

    def command(self) -> Sequence[str | Path]:
        site: list[str | Path] = ["--bind", f"127.0.0.1:{self.port}", "--chdir", PEERS / "djstripe_site"]
        return [self._python, "-m", "gunicorn", "site_wsgi", *site, "--log-level", "warning", *self._options]

    def environment(self) -> Mapping[str, str]:
        return {
            "DATABASE_URL": self.database,
            "REDIS_URL": self.machine.valkey.url,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        }


def djstripe_arms(machine: Machine) -> list[DjStripe]:
    """Return dj-stripe on gunicorn's sync workers (2 n + 1, as its manual says) and on threads."""
    sync = DjStripe(machine, name="D sync", options=["--workers", "5"])
    threads = DjStripe(
        machine, name="D gthread", options=["--worker-class", "gthread", "--workers", "2", "--threads", "16"]
    )
    return [sync, threads]

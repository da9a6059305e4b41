"""The `payments` command. Each subcommand imports what it needs, so that starting one loads no other."""

from __future__ import annotations

import asyncio
import gc
import sys
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click
import msgspec

from payment_service.cli_values import PORT, BaseUrl, check_utf8
from payment_service.printing import echo

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine

    from payment_service.config.settings import Settings


_GROUPS: Final = {
    "database": "payment_service.migrations.database_commands:database",
    "deliveries": "payment_service.endpoints.delivery_commands:deliveries",
    "endpoints": "payment_service.endpoints.commands:endpoints",
    "events": "payment_service.feed.commands:events",
    "import": "payment_service.reconcile.commands:import_history",
    "inbox": "payment_service.events.commands:inbox",
    "keys": "payment_service.access.commands:keys",
    "listen": "payment_service.endpoints.listen_command:listen",
    "operations": "payment_service.operations.commands:operations",
    "secret-key": "payment_service.access.commands:secret_key",
    "reconcile": "payment_service.reconcile.commands:reconcile",
    "recover": "payment_service.reconcile.recover_command:recover",
}
"""Groups of commands that live with their feature: module and name."""
PLUGINS: Final = "payments.commands"
"""Entry points by which other packages add commands (the simulator's, which production images do not hold)."""


class _Commands(click.Group):
    """Loads the groups of features when they are asked for; takes nothing that is no text."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line."""
        check_utf8(args)
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command."""
        module, _, name = _GROUPS.get(cmd_name, "").partition(":")
        if module:
            found: click.Command = getattr(import_module(module), name)
            return found
        own = super().get_command(ctx, cmd_name)
        return own or next((entry.load() for entry in entry_points(group=PLUGINS, name=cmd_name)), None)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted([*super().list_commands(ctx), *_GROUPS, *entry_points(group=PLUGINS).names])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="payment-service")
def main() -> None:
    """Stripe subscription billing: API, worker, migrations."""


@main.command()
@click.option("--host", default="::", show_default=True, help="Address to listen on; :: is every one, IPv4 too.")
@click.option("--port", type=PORT, default=8000, show_default=True, envvar="PORT", help="Port to listen on.")
def serve(host: str, port: int) -> None:
    """Run the API and the admin port."""
    gc.disable()  # what start-up makes stays; processes.keep_what_is_loaded enables it again
    from payment_service.processes import serve as run  # noqa: PLC0415 - loaded for this command only

    run_to_end(run(_settings(), host=host, port=port))


@main.command()
def worker() -> None:
    """Apply the inbox and complete interrupted operations."""
    gc.disable()  # as in serve
    from payment_service.cli_settings import WORKER  # noqa: PLC0415 - as above
    from payment_service.processes import work  # noqa: PLC0415 - loaded for this command only

    run_to_end(work(_settings(WORKER)))


@main.command()
@click.option("--plan", "mode", flag_value="plan", help="Change nothing; print SQL, lint and phases.")
@click.option("--expand", "mode", flag_value="expand", default="expand", help="Up to the first contract one (default).")
@click.option("--contract", "mode", flag_value="contract", help="Also the pending contract migrations.")
@click.option("--lenient", is_flag=True, help="Go on in another environment's database if there is nothing to run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def migrate(mode: str, *, lenient: bool, as_json: bool) -> None:
    """Run the database migrations under a lock."""
    from payment_service.cli_settings import DATABASE  # noqa: PLC0415 - loaded for this command only
    from payment_service.migrations.command import migrate as run  # noqa: PLC0415 - as above

    sys.exit(asyncio.run(run(_settings(DATABASE), mode=mode, as_json=as_json, lenient=lenient)))


@main.command()
@click.option(
    "--base-url", type=BaseUrl(), default="http://127.0.0.1:8000", show_default=True, help="The API to prove."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def smoke(base_url: str, *, as_json: bool) -> None:
    """Prove a release. Ready, version, database write, Stripe, signed webhook, a database of its own."""
    from payment_service.cli_settings import SMOKE  # noqa: PLC0415 - loaded for this command only
    from payment_service.smoke import exit_code, run_smoke  # noqa: PLC0415 - as above

    settings = _settings(SMOKE)
    results = asyncio.run(run_smoke(settings, base_url=base_url))
    _conclude(settings, {"checks": results})
    if as_json:
        echo(msgspec.json.encode(results))
    else:
        for result in results:
            echo(f"{'ok  ' if result['passed'] else 'FAIL'} {result['check']:<15} {result['detail']}")
    sys.exit(exit_code(results))


@main.command()
def drain() -> None:
    """Tell the API beside this command that it stops. Waits while its clients leave: the preStop hook."""
    from payment_service.draining import main as run  # noqa: PLC0415 - `payments drain` itself never gets here

    sys.exit(run())


@main.group()
def config() -> None:
    """Look at the settings."""


@config.command()
@click.option("--connect", is_flag=True, help="Also log in to each database, and look whether it is fit.")
def check(*, connect: bool) -> None:
    """Print every problem of the settings, and what they are. Secrets are masked; nothing is started."""
    from payment_service.cli_settings import SETTINGS_REFUSED, unfit_databases  # noqa: PLC0415 - for this command only
    from payment_service.config.report import report  # noqa: PLC0415 - as above

    settings = _settings()
    for name, value in report(settings):
        echo(f"{name} = {value}")
    problems = asyncio.run(unfit_databases(settings)) if connect else []
    for problem in problems:
        echo(problem, err=True)
    if problems:
        sys.exit(SETTINGS_REFUSED)
    echo("The settings are usable.")


def _settings(needs: Collection[str] | None = None) -> Settings:
    from payment_service.cli_settings import load_settings  # noqa: PLC0415 - not needed for --help

    return load_settings() if needs is None else load_settings(needs)


def run_to_end(work: Coroutine[object, None, None]) -> None:
    """Run a long command on uvloop; a port in use is a message, not a traceback."""
    import uvloop  # noqa: PLC0415 - not needed for --help

    from payment_service.http.server import PortInUse  # noqa: PLC0415 - as above

    try:
        uvloop.run(work)
    except PortInUse as error:
        fail(f"Cannot start: {error}. Stop what listens there or choose another port (PORT=8001).")
    except KeyboardInterrupt:
        sys.exit(130)


def _conclude(settings: Settings, result: dict[str, object]) -> None:
    """Leave the result where Kubernetes shows a finished container's last words."""
    if settings.termination_log:
        from payment_service.observability.redaction import redact_value  # noqa: PLC0415 - not needed for --help

        Path(settings.termination_log).write_bytes(msgspec.json.encode(redact_value(result))[:4096])


def fail(message: str) -> NoReturn:
    """Say what is wrong and exit with 1."""
    echo(message, err=True)
    sys.exit(1)

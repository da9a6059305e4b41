"""`payments keys` and `payments secret-key`: API keys, and what they are hashed under, for people at a terminal."""

from __future__ import annotations

import math
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Final, TypeVar

import click
import msgspec

from payment_service.access.keys import ApiKeys
from payment_service.access.needs import KeyNeeds, need
from payment_service.cli_settings import with_database
from payment_service.cli_values import Form
from payment_service.clock import Clock, isoformat
from payment_service.http.id_types import API_KEY
from payment_service.http.route_access import SCOPES
from payment_service.printing import echo, echo_table, table
from payment_service.storage.audit_log import cli_actor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from payment_service.access.schemas import ApiKey
    from payment_service.http.route_access import Scope

_COLUMNS: Final = ("ID", "KEY", "MODE", "SCOPE", "PRINCIPAL", "CREATED", "STATE", "LAST USED", "SECRET KEY")
_VALUES: Final = ("ID", "FINGERPRINT", "USE", "KEYS NEEDING IT")
_NEVER: Final = "never"
T = TypeVar("T")


class Duration(click.ParamType[float]):
    """A length of time that is none of the things a float may be beside a number: negative, infinite, not a number."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        try:
            number = float(str(value))
        except ValueError:
            number = math.nan
        if not 0 <= number <= 100_000:  # noqa: PLR2004 - longer than anybody wants, shorter than what a date holds
            self.fail(f"{value!r} is not a number from 0 to 100000", param, ctx)
        return number


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke API keys."""


@keys.command()
@click.argument("principal")
@click.option("--scope", type=click.Choice(SCOPES), default="write", show_default=True, help="What it may do.")
@click.option("--days", type=Duration(), help="Until it expires; default: never.")
def create(principal: str, scope: Scope, days: float | None) -> None:
    """Make a key for PRINCIPAL and show it once. PRINCIPAL is a name, such as the calling application's."""
    _show(*_with_keys(lambda store, actor: store.create(principal, scope=scope, days=days, actor=actor)))


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_keys(*, as_json: bool) -> None:
    """List all keys by their beginnings. With the SECRET_KEY values that find them."""
    found: list[ApiKey] = _with_keys(lambda store, _: store.list())
    if as_json:
        _print_json([_as_json(key) for key in found])
        return
    echo_table(_COLUMNS, [_cells(key) for key in found], none="There are no keys: payments keys create makes one.")


@keys.command()
@click.argument("key_id", type=Form(API_KEY))
@click.option("--overlap-hours", type=Duration(), default=24.0, show_default=True, help="How long the old one works.")
def rotate(key_id: str, overlap_hours: float) -> None:
    """Make a new key for the same principal. Idempotency keys stay valid."""
    _show(*_with_keys(lambda store, actor: store.rotate(key_id, overlap_hours=overlap_hours, actor=actor)))


@keys.command()
@click.argument("key_id", type=Form(API_KEY))
def revoke(key_id: str) -> None:
    """End a key now."""
    record = _with_keys(lambda store, actor: store.revoke(key_id, actor=actor))
    echo(f"revoked {record.id} ({record.prefix}…) of {record.principal}")


@click.group("secret-key")
def secret_key() -> None:
    """Look at SECRET_KEY's values and at the API keys that need them."""


@secret_key.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as in GET /status of the admin port.")
def status(*, as_json: bool) -> None:
    """Tell how many usable API keys need each value. Exits with 1 when keys need one that is not in use."""
    report = _with_needs(lambda needs, _: needs.report())
    if as_json:
        _print_json(report)
    else:
        in_use = [
            (v["id"], v["fingerprint"], "signs" if v["signs"] else "verifies", str(v["keys_needing"]))
            for v in report["in_use"]
        ]
        missing = [(v["id"] or "unknown", "-", "MISSING", str(v["keys_needing"])) for v in report["missing"]]
        rows = [*in_use, *missing]
        echo_table(_VALUES, rows, none="SECRET_KEY has no value.")
    if report["missing"]:
        echo("API keys are refused: put the missing value back into SECRET_KEY, as the last one.", err=True)
        sys.exit(1)


@secret_key.command("check-removal")
@click.argument("value_id")
def check_removal(value_id: str) -> None:
    """Tell whether the value VALUE_ID may be removed. Exits with 1 and names the keys that need it."""
    in_use, found = _with_needs(_values_and_keys)
    if value_id not in in_use:
        raise click.ClickException("No value in use has this id; payments secret-key status shows them")
    if len(in_use) == 1:
        raise click.ClickException("It is the only value; put a new one in front of it first")
    waiting = [key for key in found if need(key.known_under, in_use=in_use).value == value_id]
    if waiting:
        for line in table(_COLUMNS, [_cells(key) for key in waiting]):
            echo(line)
        echo(f"{len(waiting)} key(s) need it: wait until they are used, or rotate or revoke them.", err=True)
        sys.exit(1)
    echo(f"No key needs {value_id}: it may be removed.")


async def _values_and_keys(needs: KeyNeeds, store: ApiKeys) -> tuple[list[str], list[ApiKey]]:
    """Return the ids of the values in use and the usable keys of this mode."""
    report, now = await needs.report(), Clock().now()
    usable = [key for key in await store.list() if key.usable(now=now) and key.livemode is store.livemode]
    return [str(value["id"]) for value in report["in_use"]], usable


def _with_keys(work: Callable[[ApiKeys, str], Awaitable[T]]) -> T:
    return with_database(
        lambda settings, database: work(ApiKeys(settings, database, clock=Clock()), cli_actor()),
        name="keys",
        needs=("SECRET_KEY",),
    )


def _with_needs(work: Callable[[KeyNeeds, ApiKeys], Awaitable[T]]) -> T:
    return with_database(
        lambda settings, database: work(
            KeyNeeds.from_settings(settings, database, clock=Clock()), ApiKeys(settings, database, clock=Clock())
        ),
        name="secret-key",
        needs=("SECRET_KEY",),
    )


def _show(key: str, record: ApiKey) -> None:
    echo(key)
    for line in table(_COLUMNS, [_cells(record)]):
        echo(line, err=True)
    echo("This is the only time that the key is shown.", err=True)


def _cells(key: ApiKey) -> tuple[str, ...]:
    state = "no expiry"
    if key.revoked_at is not None:
        state = f"revoked {isoformat(key.revoked_at)}"
    elif key.expires_at is not None:
        ended = key.expires_at <= Clock().now()
        state = f"{'expired' if ended else 'expires'} {isoformat(key.expires_at)}"
    used = isoformat(key.last_used_at) if key.last_used_at else _NEVER
    mode = "live" if key.livemode else "test"
    known = ",".join(key.known_under) or "unknown: make a new key"
    made = isoformat(key.created_at)
    return (key.id, f"{key.prefix}…", mode, key.scope, key.principal, made, state, used, known)


def _as_json(key: ApiKey) -> dict[str, object]:
    told = {field.name: getattr(key, field.name) for field in fields(key)}
    del told["digest_value"], told["former_value"]
    return told | {"usable": key.usable(now=Clock().now()), "secret_keys": key.known_under}


def _print_json(value: object) -> None:
    echo(msgspec.json.format(msgspec.json.encode(value), indent=2))

"""`payments operations`: how far mutating requests got."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import click
import msgspec

from payment_service.cli_settings import with_database
from payment_service.cli_values import Form, Since
from payment_service.clock import Clock, isoformat
from payment_service.http.id_types import OPERATION, WORD
from payment_service.http.paging import Page
from payment_service.operations.inspection import OperationInspection, OperationView
from payment_service.printing import echo, echo_table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime


T = TypeVar("T")
_HEADERS: Final = ("BEGUN", "ANSWER", "OPERATION", "KIND", "PHASE", "ERROR")


@click.group()
def operations() -> None:
    """Look at mutating requests and how far they got."""


@operations.command("list")
@click.option("--unfinished", is_flag=True, help="Only those without an answer.")
@click.option("--kind", type=Form(WORD, maximum=64), help="Only of this kind, for example create_subscription.")
@click.option("--since", type=Since(), help="Begun since: 90m, 2h, 7d or an RFC 3339 moment.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_operations(kind: str | None, since: datetime | None, limit: int, *, unfinished: bool, as_json: bool) -> None:
    """List operations, newest first."""
    page = _inspect(lambda found: found.list(page=Page.since(since, limit=limit), unfinished=unfinished, kind=kind))
    if as_json:
        echo(msgspec.json.format(msgspec.json.encode(page), indent=2))
        return
    echo_table(_HEADERS, [_line(operation) for operation in page.data], none="There are no such operations.")
    if page.has_more:
        echo(f"More than {limit}: give --limit, --since or --kind.", err=True)


@operations.command()
@click.argument("operation_id", type=Form(OPERATION))
def show(operation_id: str) -> None:
    """Show one operation as JSON, without its request and its answer."""
    echo(msgspec.json.format(msgspec.json.encode(_inspect(lambda found: found.show(operation_id))), indent=2))


def _inspect(work: Callable[[OperationInspection], Awaitable[T]]) -> T:
    return with_database(lambda _, database: work(OperationInspection(database, clock=Clock())), name="operations")


def _line(operation: OperationView) -> tuple[str, ...]:
    state = str(operation.response_status) if operation.finished else "past lease" if operation.past_lease else "runs"
    begun = isoformat(operation.created_at)
    return begun, state, operation.id, operation.kind, operation.phase, operation.last_error or ""

"""How commands answer: the only module that prints. Names, payloads and errors of others do not steer the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from payment_service.observability.printable import printable
from payment_service.observability.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Sequence


class Failed(click.ClickException):
    """Ends a command with a message, which may quote the database or Stripe: without secrets."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(redact(message)))


def echo(text: str | bytes, *, err: bool = False, nl: bool = True) -> None:
    """Print text of any origin, to standard error with `err`."""
    click.echo(printable(text.decode() if isinstance(text, bytes) else text), err=err, nl=nl)


def echo_styled(*parts: str | tuple[str, str]) -> None:
    """Print a line of which some parts, given with a colour's name, are coloured where the terminal shows colours."""
    pairs = ((part, None) if isinstance(part, str) else part for part in parts)
    click.echo("".join(click.style(printable(text), fg=colour, reset=colour is not None) for text, colour in pairs))


def echo_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, none: str) -> None:
    """Print a table; without rows say so in the words of `none`, to standard error: what reads the table gets none."""
    for line in table(headers, rows):
        echo(line)
    if not rows:
        echo(none, err=True)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table, columns two blanks apart; without rows there is none.

    A cell is of one line, whatever it holds.
    """
    if not rows:
        return []
    cells = [tuple(headers), *(tuple(_in_one_line(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _in_one_line(text: str) -> str:
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")

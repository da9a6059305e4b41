"""Values that people give to commands, held to what the API's routes ask of the same ones; others exit with 2."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click

from payment_service.clock import Clock
from payment_service.http.id_types import FORMS, MAXIMUM_CHARACTERS
from payment_service.http.timestamps import check_moment
from payment_service.observability.card_numbers import holds_card_number
from payment_service.observability.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

PORT: Final = click.IntRange(0, 65535)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def check_utf8(arguments: Iterable[str]) -> None:
    """Refuse arguments with octets that are no text: neither a database nor a document can hold them.

    Raises:
        click.UsageError: naming the argument.
    """
    for number, argument in enumerate(arguments, start=1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise click.UsageError(f"argument {number} is not UTF-8: {printable(argument)}") from None


class Form(click.ParamType[str]):
    """Text of a form of `http/id_types.py`."""

    name = "text"

    def __init__(self, form: str, *, maximum: int = MAXIMUM_CHARACTERS) -> None:
        self._form = form
        self._maximum = maximum

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text as it is."""
        text = str(value)
        if not 0 < len(text) <= self._maximum:
            self.fail(f"needs 1 to {self._maximum} characters", param, ctx)
        if not re.search(self._form, text):
            self.fail(f"expected {FORMS[self._form]}", param, ctx)
        if holds_card_number(text):
            self.fail("holds a card number; never give one here", param, ctx)
        return text


class Since(click.ParamType[datetime]):
    """Reads `90m`, `2h`, `7d` or an RFC 3339 moment; without an offset it is UTC."""

    name = "since"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the moment."""
        if isinstance(value, datetime):
            return value
        text = str(value)
        ago = re.fullmatch(r"([0-9]{1,6})([smhdw])", text)
        try:
            moment = _before(ago) if ago else datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            check_moment(moment, field="since")
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is neither like 90m, 2h, 7d nor like 2026-01-31T12:00:00Z, from 2010 on", param, ctx)
        return moment


def _before(ago: re.Match[str]) -> datetime:
    return Clock().now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})


class BaseUrl(click.ParamType[str]):
    """The address of a server: scheme, host and perhaps a port, without a path."""

    name = "url"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the address as it is."""
        text = str(value)
        try:
            url = urlsplit(text)
            usable = url.scheme in {"http", "https"} and url.hostname and url.port != 0
            usable = usable and text.isascii() and text.removesuffix("/") == f"{url.scheme}://{url.netloc}"
        except ValueError:
            usable = False
        if not usable:
            self.fail(f"{value!r} is no address like http://127.0.0.1:8000, without a path", param, ctx)
        return text

"""What commands take: nothing that is no text, and of each value what the API's route of the same one takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click
import pytest
from click.testing import CliRunner

from payment_service.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO_TEXT: Final = b"\xff".decode("utf-8", "surrogateescape")
FREE: Final = {
    "host": "bound, which says what is wrong with it",
    "principal": "access.keys.check_principal",
    "role": "quoted, and asked of PostgreSQL",
    "value_id": "compared with what is there",
}
"""Texts of any form, each with what looks at it instead."""
CARD: Final = "4242 4242 4242 4242"


def commands(command: click.Command, *before: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command with its words."""
    if not isinstance(command, click.Group):
        yield before, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from commands(found, *before, name)


def cut(group: click.Group, *before: str) -> Iterator[str]:
    """Yield each command whose line in its group's help, on a terminal of 80 columns, ends in dots."""
    context = click.Context(group, terminal_width=80)
    formatter = context.make_formatter()
    group.format_commands(context, formatter)
    yield from (f"{' '.join(before)} {line.split()[0]}" for line in formatter.getvalue().splitlines() if "..." in line)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from cut(found, *before, name)


COMMANDS: Final = dict(commands(main))


def refused(*words: str) -> str:
    answer = CliRunner().invoke(main, words, catch_exceptions=False)
    assert answer.exit_code == 2, answer.output
    return answer.stderr


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_an_argument_that_is_no_text_is_refused_by_name(words: tuple[str, ...]) -> None:
    assert f"argument {len(words) + 1} is not UTF-8: a\\udcffb" in refused(*words, f"a{NO_TEXT}b")


def test_a_command_that_is_no_text_is_refused() -> None:
    assert "argument 1 is not UTF-8" in refused(NO_TEXT)


def test_every_command_is_told_whole_in_the_list_of_its_group() -> None:
    assert isinstance(main, click.Group)
    assert list(cut(main, "payments")) == []


def test_every_text_has_a_form_or_a_reason_why_it_has_none() -> None:
    given = [p for command in COMMANDS.values() for p in command.params if not getattr(p, "is_flag", False)]
    assert {p.name for p in given if p.type is click.STRING} == FREE.keys()


@pytest.mark.parametrize(
    "words",
    [
        ("inbox", "show", "sub_1"),
        ("inbox", "show", f"evt_{'1' * 252}"),
        ("inbox", "retry", "evt_1", "evt_a/b"),
        ("inbox", "discard", "evt_1", "--reason", ""),
        ("inbox", "discard", "evt_1", "--reason", "x" * 501),
        ("inbox", "discard", "evt_1", "--reason", "two\nlines"),
        ("inbox", "discard", "evt_1", "--reason", "a\x1b[2Jb"),
        ("inbox", "discard", "evt_1", "--reason", f"paid with {CARD}"),
        ("inbox", "restore", "evt_"),
        ("inbox", "list", "--object", "a b"),
        ("inbox", "list", "--type", "invoice paid"),
        ("inbox", "list", "--since", "999999w"),
        ("inbox", "list", "--since", "\u0669m"),
        ("inbox", "replay", "--type", ""),
        ("inbox", "replay", "--since", "1900-01-01"),
        ("reconcile", "--since", "0001-01-01T00:00:00+14:00"),
        ("operations", "list", "--kind", "Create"),
        ("operations", "show", "evt_1"),
        ("keys", "revoke", "shop"),
        ("keys", "rotate", "lpk_'--"),
        ("endpoints", "create", "https://shop.example.com/", "--types", "invoice paid"),
        ("endpoints", "rotate-secret", "lpw_1", "--overlap-hours", "169"),
        ("endpoints", "delete", "shop"),
        ("deliveries", "list", "--state", "dead"),
        ("deliveries", "skip", "evt_1"),
        ("deliveries", "replay", "--since", "soon"),
        ("deliveries", "replay", "--since", "1h", "--endpoint", "shop"),
        ("deliveries", "cancel-replay", "lpd_1"),
        ("smoke", "--base-url", "payments:8000"),
        ("smoke", "--base-url", "http://payments:99999"),
        ("smoke", "--base-url", "http://payments/api?x"),
        ("smoke", "--base-url", "http://[::1"),
        ("serve", "--port", "70000"),
        ("simulator", "--control-port", "-1"),
        ("demo", "--once", "--port", "65536"),
    ],
)
def test_a_value_that_the_route_refuses_is_wrong_use(words: tuple[str, ...]) -> None:
    told = refused(*words)
    assert "Error: Invalid value for" in told
    assert CARD not in told


@pytest.mark.parametrize("url", ["http://payments:8000", "https://[::1]:8443/", "http://10.0.0.1"])
def test_an_address_to_prove_is_taken_as_it_is(url: str) -> None:
    command = COMMANDS["smoke",]
    assert command.make_context("smoke", ["--base-url", url]).params["base_url"] == url


def test_a_body_that_is_no_json_is_wrong_use(tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    file.write_text("{")
    assert "--body: " in refused("demo", "--once", "--body", str(file))

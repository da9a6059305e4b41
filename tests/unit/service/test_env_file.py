"""The `.env` file of development."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from payment_service.config.environment import read_env_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("NAME=value", "value"),
        ("export NAME=value", "value"),
        ("NAME = value", "value"),
        ("NAME='a value'", "a value"),
        ('NAME="a value"', "a value"),
        ("NAME=a value # why", "a value"),
        ('NAME="# no comment"', "# no comment"),
        ('NAME="two\\nlines"', "two\nlines"),
        ('NAME="two\nlines"', "two\nlines"),
        ("NAME='as it \\n stands'", "as it \\n stands"),
        ('NAME="a \\"quote\\""', 'a "quote"'),
        ("NAME=p$PATH${HOME}", "p$PATH${HOME}"),
        ("NAME=a=b#c", "a=b#c"),
        ("NAME=", ""),
    ],
)
def test_a_line_is_read_as_compose_reads_it(line: str, value: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"# a comment\n\nFIRST=1\n{line}\nLAST=2\n")
    assert read_env_file(tmp_path / ".env") == {"FIRST": "1", "NAME": value, "LAST": "2"}


def test_octets_that_are_no_text_reach_the_setting_that_complains_of_them(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"NAME=\xff\n")
    assert read_env_file(tmp_path / ".env") == {"NAME": "\udcff"}


def test_no_file_sets_nothing(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / ".env") == {}

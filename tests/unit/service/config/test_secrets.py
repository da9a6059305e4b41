"""Secrets in values and files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from payment_service.config import secrets
from payment_service.config.secrets import Secret, fingerprint

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _look_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "RECHECK_SECONDS", 0.0)


def test_a_secret_never_shows_itself() -> None:
    assert "hidden" not in repr(Secret("hidden")) + str(Secret("hidden")) + f"{Secret('hidden')}"


def test_several_values_are_split_at_commas_and_lines() -> None:
    assert Secret("a, b\nc,,").parts() == ("a", "b", "c")


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    secret = Secret(path=file)
    assert secret.reveal() == "old"
    file.write_text("newer")
    assert secret.reveal() == "newer"


def test_a_file_that_becomes_no_text_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    secret = Secret(path=file)
    file.write_bytes(b"new\xff")
    assert secret.reveal() == "old"


def test_a_swapped_symlink_is_followed_as_kubernetes_swaps_it(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").write_text(name)
    link = tmp_path / "..data"
    link.symlink_to("first")
    (tmp_path / "key").symlink_to("..data/key")
    secret = Secret(path=tmp_path / "key")
    assert secret.reveal() == "first"
    staged = tmp_path / "..data_tmp"
    staged.symlink_to("second")
    staged.rename(link)
    assert secret.reveal() == "second"


def test_a_file_that_vanishes_keeps_its_last_value(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("kept")
    secret = Secret(path=file)
    file.unlink()
    assert secret.reveal() == "kept"


def test_a_file_that_never_was_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Secret(path=tmp_path / "none")


def test_a_fingerprint_depends_on_secret_and_salt() -> None:
    marks = {fingerprint("a", salt="1"), fingerprint("a", salt="2"), fingerprint("b", salt="1")}
    assert len(marks) == 3
    assert all(len(mark) == 16 for mark in marks)

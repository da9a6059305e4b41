"""A worker follows its file: changes count, what a call overruled does not come back, nonsense changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.clock import MovableClock
from payment_service.events.claim_file import LAG_SECONDS, ClaimFile

if TYPE_CHECKING:
    from pathlib import Path


def mounted(folder: Path, text: str | None) -> None:
    """Swap `..data`, as the kubelet does."""
    made = folder / f"..{text}"
    made.mkdir(exist_ok=True)
    if text is not None:
        (made / "hash").write_text(text)
    (folder / "..new").symlink_to(made.name)
    (folder / "..new").replace(folder / "..data")
    if not (folder / "hash").is_symlink():
        (folder / "hash").symlink_to("..data/hash")


def test_changes_are_followed_without_a_call(tmp_path: Path) -> None:
    mounted(tmp_path, "false")
    file = ClaimFile(str(tmp_path / "hash"), clock=MovableClock())
    assert not file.claim
    assert file.change() is None
    mounted(tmp_path, "true")
    assert file.change() is True
    assert file.change() is None
    mounted(tmp_path, "false")
    assert file.change() is False


def test_a_file_that_comes_late_or_makes_no_sense_counts_once_it_does(tmp_path: Path) -> None:
    file = ClaimFile(str(tmp_path / "hash"), clock=MovableClock())
    assert not file.claim
    for text in (None, "", "yes", "true" * 40):
        mounted(tmp_path, text)
        assert file.change() is None
    mounted(tmp_path, "true")
    assert file.change() is True
    mounted(tmp_path, None)
    assert file.change() is None, "gone: it goes on as it is"


def test_what_was_written_before_a_call_does_not_undo_it(tmp_path: Path) -> None:
    clock = MovableClock()
    mounted(tmp_path, "false")
    file = ClaimFile(str(tmp_path / "hash"), clock=clock)
    file.overruled()
    mounted(tmp_path, "true")
    clock.advance(LAG_SECONDS / 2)
    assert file.change() is None, "older than the call, as far as it knows"
    mounted(tmp_path, "false")
    clock.advance(LAG_SECONDS)
    assert file.change() is None
    mounted(tmp_path, "true")
    assert file.change() is True

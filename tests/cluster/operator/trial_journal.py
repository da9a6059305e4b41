"""Remembers which trials of a long matrix have passed, so that a run goes on where the last one stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")
FOLDER = Path(__file__).parents[3] / ".cache/soak"


class TrialJournal:
    """The trials of one matrix; nothing is kept unless `keep`."""

    def __init__(self, name: str, *, keep: bool) -> None:
        self._file = FOLDER / f"{name}.txt" if keep else None
        if self._file is not None:
            FOLDER.mkdir(parents=True, exist_ok=True)
            self._file.touch()

    def left(self, trials: Iterable[T]) -> list[T]:
        """Those that have not passed."""
        seen = set(self._file.read_text().splitlines()) if self._file else set()
        return [trial for trial in trials if str(trial) not in seen]

    def add(self, trial: object) -> None:
        """Note one."""
        if self._file is not None:
            with self._file.open("a") as file:
                file.write(f"{trial}\n")

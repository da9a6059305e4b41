"""Text as it was drawn before. UPDATE_SNAPSHOTS=1 writes it anew."""

from __future__ import annotations

import os
from pathlib import Path

from payment_operator.plugin.terminal import shown

SNAPSHOTS = Path(__file__).parent / "snapshots"


def compare(name: str, lines: list[str]) -> None:
    text = "\n".join(map(shown, lines)) + "\n"
    kept = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(text)
    assert text == kept.read_text(), "drawn otherwise than before; if wanted: UPDATE_SNAPSHOTS=1"

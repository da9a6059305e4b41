"""What `.ci/run` remembers between runs on one machine: when each module of the cluster tier ran, and how long."""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from tests.ci.order import Past

if TYPE_CHECKING:
    from collections.abc import Mapping


def file() -> Path:
    """Return where it lies: beside the cluster's programs, so a machine that keeps these keeps this."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "lean-payments" / "ci.json"


def load(where: Path | None = None) -> tuple[str | None, dict[str, Past]]:
    """Return the commit of the last run and what is known of each module; nothing when the file cannot be read."""
    try:
        content = json.loads((where or file()).read_text())
        modules = {
            name: Past(date.fromisoformat(entry["ran"]), float(entry["seconds"]))
            for name, entry in content["modules"].items()
        }
        commit = content["commit"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None, {}
    return (commit if isinstance(commit, str) else None), modules


def save(commit: str | None, modules: Mapping[str, Past], *, where: Path | None = None) -> None:
    """Replace the file in one step."""
    target = where or file()
    target.parent.mkdir(parents=True, exist_ok=True)
    entries = {name: {"ran": past.ran.isoformat(), "seconds": round(past.seconds, 1)} for name, past in modules.items()}
    partial = target.with_suffix(".partial")
    partial.write_text(json.dumps({"commit": commit, "modules": entries}, indent=1, sort_keys=True))
    partial.replace(target)

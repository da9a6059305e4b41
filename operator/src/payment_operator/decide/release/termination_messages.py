"""What a container that failed said last, as much of it as a person needs; the whole text stays in its log."""

import re
from typing import Any, Final

import msgspec

LONGEST: Final = 400
LINES: Final = 3
_CUT: Final = re.compile(r'^\{"error":"(.+)', re.DOTALL)
"""A result that is longer than the kubelet keeps has lost its end."""


def shortened(words: str) -> str:
    """The reason in a command's JSON result or in the last line of a JSON log, else the last lines."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    for text in (words, *lines[-1:]):
        if (reason := _reason(decoded(text))) is not None:
            return _limited(reason)
    if cut := _CUT.match(words.strip()):
        return _limited(cut[1])
    return _limited("\n".join(lines[-LINES:]))


def decoded(text: str) -> dict[str, Any]:
    """A command's JSON result; empty when it is none."""
    try:
        result = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}
    return result if isinstance(result, dict) else {}


def _reason(result: dict[str, Any]) -> str | None:
    """What a result complains of: of `payments migrate`, of `payments smoke`, or a log line; None for anything else."""
    if error := result.get("error"):
        return str(error)
    if findings := result.get("findings"):
        return "; ".join(str(finding) for finding in findings)
    if failed := [check for check in result.get("checks") or [] if not check.get("passed")]:
        return "; ".join(f"{check['check']}: {check['detail']}" for check in failed)
    if "event" in result:
        trace = str(result.get("exception") or "").strip().splitlines()
        return ": ".join([str(result["event"]), *trace[-1:]])
    return "" if "pending" in result or "checks" in result else None


def _limited(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"

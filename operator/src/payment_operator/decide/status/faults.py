"""What of the last pass was refused or failed: a condition with the API server's own words, and an Event once."""

import re
from typing import Final

from payment_operator.model.actions import Event
from payment_operator.model.conditions import Finding
from payment_operator.model.observed import Observed
from payment_operator.resources.metadata import Manifest

NAMED: Final = 3
_NUMBERS: Final = re.compile(r"\d+")
"""In a message that is the same but for what is used of a quota."""


def failing(observed: Observed) -> Finding:
    """Whether writes are refused, or a part of the passes fails."""
    found = [f"{kind} {name}: {words}" for (kind, name), words in sorted(observed.refusals.items())]
    taken = any(words.startswith("NameTaken") for words in observed.refusals.values())
    reason = "NameTaken" if taken else "WriteRefused" if found else "PartFailed"
    found += [f"{where}: {words}" for where, words in sorted(observed.faults.items())]
    found += [f"requests: {observed.requests.unread}"] if observed.requests.unread else []
    if not found:
        return Finding("Failing", "False", "NothingRefused")
    more = f"; and {len(found) - NAMED} more" if len(found) > NAMED else ""
    now = f"`kubectl payments retry {observed.owner.name}` does so at once"
    again = f"; it is tried again every {observed.pause:.0f} s, less and less often; {now}"
    return Finding("Failing", "True", reason, "; ".join(found[:NAMED]) + more + again)


def failure_events(observed: Observed, status: Manifest) -> list[Event]:
    """The Event of what fails, when it is another than what the status said before."""
    found = _entry(status)
    return [Event(found["reason"], found["message"], warning=True)] if new(status, than=observed.status) else []


def new(status: Manifest, *, than: Manifest) -> bool:
    """Whether a status says that something fails, and it is something else than before."""
    found, former = _entry(status), _entry(than)
    return found.get("status") == "True" and not _same(found.get("message", ""), former.get("message", ""))


def waiting_events(observed: Observed, status: Manifest) -> list[Event]:
    """The Event of what keeps a step of a release, once a step and attempt."""
    found, former = status.get("candidate") or {}, observed.status.get("candidate") or {}
    same = all(found.get(part) == former.get(part) for part in ("hash", "step", "attempt"))
    if not found.get("cause") or (same and former.get("cause")):
        return []
    message = f"Revision {found['revision']}: {found['step']} waits for {found['waitingFor']}"
    return [Event("Waiting", message, warning=True)]


def _entry(status: Manifest) -> Manifest:
    conditions = status.get("conditions") or []
    return next((entry for entry in conditions if entry.get("type") == "Failing"), {})


def _same(message: str, former: str) -> bool:
    return _NUMBERS.sub("", message) == _NUMBERS.sub("", former)

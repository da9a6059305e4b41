"""When somebody else has moved the Service's selector: what is there counts, and the spec says what follows.

The selector is what acts. While it differs from the commit record no step of a release is taken, and nothing that it
names is drained or retired (`Observed.selects`).
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

import msgspec

from payment_operator import names
from payment_operator.decide.release import traffic
from payment_operator.decide.turn import Turn
from payment_operator.model.commit_record import selector_of
from payment_operator.model.observed import Observed, Revision
from payment_operator.resources.metadata import Manifest
from payment_operator.resources.release_record import moment, stamp
from payment_operator.resources.services import Cutover

RESTORE_SECONDS: Final = 30
"""The selector is put back at most this often: whoever else writes it is not fought."""
Policy = Literal["Hold", "Restore", "Adopt"]


@dataclass(frozen=True)
class Override:
    """A selector that is not the commit record's."""

    cutover: Cutover
    selector: dict[str, str]
    revision: Revision | None
    """The one revision that the selector names."""
    writer: str
    """Who wrote it last, as far as the API server tells."""


def override_of(observed: Observed) -> Override | None:
    """The difference between selector and commit record; None when there is none."""
    service, cutover = observed.service, observed.cutover
    if service is None or cutover is None:
        return None
    selector = selector_of(service)
    narrowed = msgspec.structs.replace(cutover, overlap=False)
    if selector in (cutover.selector(observed.owner), narrowed.selector(observed.owner)):
        return None
    named = observed.revisions.get(selector.get(names.LABEL_REVISION, ""))
    one = named is not None and selector == observed.owner.selector(names.API, named.digest)
    return Override(cutover, selector, named if one else None, _writer(service))


def policy(observed: Observed) -> Policy:
    """What follows; by default a person's hand is left alone in Live and put right in Test."""
    return observed.spec.release.on_override or ("Hold" if observed.spec.stripe.mode == "Live" else "Restore")


def honour(turn: Turn) -> bool:
    """Whether traffic is not where the commit record says; do what the spec says about it."""
    found = override_of(turn.observed)
    if found is None:
        return False
    match policy(turn.observed):
        case "Restore":
            _restore(turn, found)
        case "Adopt":
            _adopt(turn, found)
    return True


def _restore(turn: Turn, found: Override) -> None:
    observed, active = turn.observed, turn.placement.active
    if active is None or not observed.ready(active.digest):
        return
    if found.cutover.restored:
        again = moment(found.cutover.restored) + timedelta(seconds=RESTORE_SECONDS)
        if observed.now < again:
            turn.decision.look_again(turn.seconds_until(again))
            return
    traffic.commit(turn, msgspec.structs.replace(found.cutover, restored=stamp(observed.now)))
    told = f"The selector is put back to revision {active.number}; it was {shown(found)}"
    turn.decision.emit_event("TrafficRestored", told, warning=True)


def _adopt(turn: Turn, found: Override) -> None:
    observed, active, revision = turn.observed, turn.placement.active, found.revision
    if revision is None or active is None or revision.record.state == "Unknown":
        return
    if not observed.ready(revision.digest):
        return
    source = active.digest
    traffic.commit(turn, Cutover(to=revision.digest, source=source, at=stamp(observed.now), adopted=True))
    told = f"Traffic stays at revision {revision.number}, where somebody else sent it; it was {active.number}"
    turn.decision.emit_event("TrafficAdopted", told, warning=True)


def serving(turn: Turn) -> Revision | None:
    """The revision that the selector names, whatever the commit record says."""
    found = override_of(turn.observed)
    return turn.placement.active if found is None else found.revision


def message(turn: Turn, found: Override) -> str:
    """What is there, what the record says, who wrote it, and what a person can do."""
    active = turn.placement.active
    recorded = f"revision {active.number}" if active else f"the unknown revision {found.cutover.to}"
    said = f"the Service selects {shown(found)}, the commit record names {recorded}; {found.writer}"
    return f"{said}; {_follows(turn)}"


def shown(found: Override) -> str:
    """What the selector names."""
    if found.revision is not None:
        return f"revision {found.revision.number}"
    return ",".join(f"{key}={value}" for key, value in sorted(found.selector.items())) or "nothing"


def _follows(turn: Turn) -> str:
    """What happens next, and the way out."""
    chosen, active = policy(turn.observed), turn.placement.active
    field = "spec.release.onOverride"
    if chosen == "Restore":
        ready = active is not None and bool(turn.observed.ready(active.digest))
        return "it is put back" if ready else "it is not put back while the recorded revision has no ready pod"
    if chosen == "Adopt":
        return "that is adopted once it names one revision of this environment with ready pods"
    return f"nothing is drained or retired and no release goes on: put the selector back, or set {field}: Adopt"


def _writer(service: Manifest) -> str:
    """The last other field manager of the selector. Managed fields name programs, not persons."""
    entries = service["metadata"].get("managedFields") or []
    others = [e for e in entries if e.get("manager") != names.MANAGER and _writes_selector(e.get("fieldsV1") or {})]
    last: dict[str, Any] = max(others, key=lambda entry: entry.get("time", ""), default={})
    if not last:
        return "who wrote it is not known: no other field manager owns the selector"
    return f"written by the field manager {last.get('manager', '?')} (a program, not a person) at {last.get('time')}"


def _writes_selector(fields: Manifest) -> bool:
    return "f:selector" in (fields.get("f:spec") or {})

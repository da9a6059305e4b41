"""The commit record of where traffic goes: the Service's annotation, or what the release records tell in its place.

The annotation is a record and no proof: what acts is the selector, which is read in every pass.
"""

from collections.abc import Mapping

import msgspec

from payment_operator import names
from payment_operator.resources.metadata import Manifest, Owner
from payment_operator.resources.release_record import ReleaseRecord, readable
from payment_operator.resources.services import Cutover


def selector_of(service: Manifest) -> dict[str, str]:
    """The Service's selector as it is."""
    return dict(service["spec"].get("selector") or {})


def written(service: Manifest) -> Cutover | None:
    """The annotation; None when it is lost or cannot be read."""
    text = (service["metadata"].get("annotations") or {}).get(names.ANNOTATION_CUTOVER)
    try:
        found = msgspec.json.decode(text, type=Cutover) if text else None
    except msgspec.DecodeError:
        return None
    return found if found is not None and found.to and readable(found.at) else None


def commit_record(service: Manifest, records: Mapping[str, ReleaseRecord], owner: Owner) -> Cutover | None:
    """The annotation if it names a revision that is known or selected, else what the release records tell."""
    found, selector = written(service), selector_of(service)
    if found is not None and (found.to in records or found.selector(owner) == selector):
        return found
    return _from_records(records, selected=selector.get(names.LABEL_REVISION, ""))


def _from_records(records: Mapping[str, ReleaseRecord], *, selected: str) -> Cutover | None:
    """The revision that the records call active; of several the one that is selected, else the last switch's."""
    active = {digest: record for digest, record in records.items() if record.state == "Active"}
    if selected in records and (selected in active or not active):
        to = selected
    elif active:
        to = last_switched(active)
    else:
        return None
    others = {d: r for d, r in records.items() if d != to and r.switch and r.state != "Unknown" and not r.retired_at}
    at = records[to].active_at or records[to].started_at
    return Cutover(to=to, source=last_switched(others) if others else "", at=at) if at else None


def last_switched(records: Mapping[str, ReleaseRecord]) -> str:
    """The revision among these that got traffic last."""
    return max(records, key=lambda digest: (records[digest].switch, records[digest].active_at))

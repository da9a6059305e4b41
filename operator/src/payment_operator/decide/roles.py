"""Which revision is what: active, previous, candidate."""

from dataclasses import dataclass
from typing import Any

from payment_operator.observed import Observed, Revision
from payment_operator.resources.revisions import revision_hash, revision_input, same_but_for_credentials


@dataclass(frozen=True)
class Roles:
    """The parts that revisions play now."""

    desired: str = ""
    """Hash of what the spec asks for; empty while the credentials cannot be read."""
    content: dict[str, Any] | None = None
    active: Revision | None = None
    """Where the Service sends traffic, or begins to."""
    previous: Revision | None = None
    """Where traffic came from; its pods still run."""
    candidate: Revision | None = None
    fresh: bool = False
    """The desired revision does not exist yet and may be made."""
    queued: bool = False
    """The spec asks for something that waits until the bake is over."""

    @property
    def running(self) -> list[Revision]:
        """Revisions that keep their pods."""
        begun = self.candidate is not None and self.candidate.record.step("deploy").state != ""
        found = [self.active, self.previous, self.candidate if begun else None]
        return [revision for revision in found if revision is not None]

    @property
    def more_than_credentials(self) -> bool:
        """Whether the spec asks for something else than what serves, be it with other credentials."""
        if self.active is None or self.content is None:
            return False
        return not same_but_for_credentials(self.content, self.active.content)


def baking(revision: Revision | None) -> bool:
    """Whether the active revision is still being watched."""
    return revision is not None and revision.record.state == "Active" and not revision.record.stable_at


def assign(observed: Observed) -> Roles:
    """Tell which revision plays which part."""
    desired, content = "", None
    if observed.sources.usable:
        content = revision_input(observed.spec, credentials=observed.sources.digest)
        desired = revision_hash(content)
    active = active_of(observed)
    previous = _previous(observed, active)
    wanted = _wanted(observed, desired)
    unsettled = active is not None and (active.record.state != "Active" or observed.overlapping)
    if not wanted or unsettled or (active and wanted == active.digest):
        return Roles(desired, content, active, previous)
    if baking(active):
        return Roles(desired, content, active, previous, queued=True)
    candidate = observed.revisions.get(wanted)
    if candidate is not None and candidate.record.state == "Failed":
        return Roles(desired, content, active, previous)
    if candidate is not None and previous is not None and candidate.digest == previous.digest:
        previous = None
    return Roles(desired, content, active, previous, candidate, fresh=candidate is None)


def _wanted(observed: Observed, desired: str) -> str:
    """What the spec asks for, or the revision for which a person left it."""
    left = [r for r in observed.revisions.values() if desired and r.record.rollback_from == desired]
    chosen = max(left, key=lambda revision: revision.record.started_at, default=None)
    return chosen.digest if chosen and chosen.record.state != "Failed" else desired


def active_of(observed: Observed) -> Revision | None:
    """Where the Service points; without a Service, where it pointed last."""
    if (cutover := observed.cutover) is not None:
        return observed.revisions.get(cutover.to)
    served = [r for r in observed.revisions.values() if r.record.active_at and r.record.state == "Active"]
    return max(served, key=lambda revision: revision.record.active_at, default=None)


def _previous(observed: Observed, active: Revision | None) -> Revision | None:
    if active is None:
        return None
    if (cutover := observed.cutover) is not None:
        source = observed.revisions.get(cutover.source)
    else:
        left = [r for r in observed.revisions.values() if r.record.replaced_at and not r.record.retired_at]
        source = max(left, key=lambda revision: revision.record.replaced_at, default=None)
    if source is None or source.record.retired_at or source.digest == active.digest:
        return None
    return source

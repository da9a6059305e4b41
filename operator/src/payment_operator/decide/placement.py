"""Which revision is what: active, previous, candidate.

A change of the credentials alone is a new revision, but no new release of what has failed or was left by a person:
whoever wants that retries it, or changes the spec.
"""

from dataclasses import dataclass, replace
from typing import Any

from payment_operator.model.observed import ClusterState, Revision
from payment_operator.resources.credentials import StagedCredentials
from payment_operator.resources.revisions import (
    but_for_credentials,
    revision_hash,
    revision_input,
    same_but_for_credentials,
)


@dataclass(frozen=True)
class Placement:
    """The parts that revisions play now."""

    desired: str = ""
    """Hash of what the spec asks for; empty while the credentials cannot be read, or its pods are refused."""
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
    failed: Revision | None = None
    """What the spec asks for has failed as this revision, perhaps with other credentials."""
    pinned: Revision | None = None
    """For which a person left what the spec asks for."""

    @property
    def running(self) -> list[Revision]:
        """Revisions that have pods: what serves, what served, and a candidate that has begun to be deployed."""
        begun = self.candidate is not None and self.candidate.record.step("deploy").state != ""
        found = [self.active, self.previous, self.candidate if begun else None]
        return [revision for revision in found if revision is not None]

    @property
    def more_than_credentials(self) -> bool:
        """Whether the spec asks for something else than what serves, whatever the credentials."""
        if self.active is None or self.content is None:
            return False
        return not same_but_for_credentials(self.content, self.active.content)

    @property
    def withheld(self) -> str:
        """What must happen before anything new can be released; empty when nothing must."""
        if not self.more_than_credentials or self.active is None:
            return ""
        if self.pinned is not None and self.pinned.digest == self.active.digest:
            return f"a change of the spec, for a person went back to revision {self.active.number}"
        if self.failed is not None:
            return f"a retry of revision {self.failed.number}, which failed, or the spec to be put back"
        return ""

    def pin(self, target: Revision) -> str:
        """What the record of a revision remembers when a person leaves for it what the spec asks for."""
        content = self.content or {}
        return self.desired if same_but_for_credentials(content, target.content) else _release(content)


def baking(revision: Revision | None) -> bool:
    """Whether the active revision is still being watched."""
    return revision is not None and revision.record.state == "Active" and not revision.record.stable_at


def assign(observed: ClusterState, staged: StagedCredentials) -> Placement:
    """Tell which revision plays which part."""
    desired, content = "", None
    if staged.usable and not observed.unsafe:
        content = revision_input(observed.spec, credentials=staged.digest)
        desired = revision_hash(content)
    active = active_of(observed)
    previous = _previous(observed, active)
    failed, pinned = _failed(observed, desired, content, active), _pinned(observed, desired, content)
    found = Placement(desired, content, active, previous, failed=failed, pinned=pinned)
    wanted = pinned.digest if pinned else desired
    unsettled = active is not None and (active.record.state != "Active" or observed.overlapping)
    if not wanted or unsettled or (active and wanted == active.digest):
        return found
    if baking(active):
        return replace(found, queued=True)
    if pinned is None and failed is not None:
        return found
    candidate = observed.revisions.get(wanted)
    if candidate is not None and previous is not None and candidate.digest == previous.digest:
        previous = None
    return replace(found, previous=previous, candidate=candidate, fresh=candidate is None)


def _failed(
    observed: ClusterState, desired: str, content: dict[str, Any] | None, active: Revision | None
) -> Revision | None:
    """The revision that failed with what the spec asks for; one with other credentials counts if it was the last.

    It does not count when what serves is the same but for its credentials: then those failed, and others may not.
    """
    own = observed.revisions.get(desired)
    if own is not None and own.record.state == "Failed":
        return own
    if content is None or active is None or same_but_for_credentials(content, active.content):
        return None
    same = [r for r in observed.revisions.values() if same_but_for_credentials(r.content, content)]
    last = max(same, key=lambda revision: (revision.record.started_at, revision.number), default=None)
    return last if last is not None and last.record.state == "Failed" else None


def _pinned(observed: ClusterState, desired: str, content: dict[str, Any] | None) -> Revision | None:
    """The revision for which a person left what the spec asks for."""
    if content is None:
        return None
    known = {desired, _release(content)}
    left = [r for r in observed.revisions.values() if r.record.rollback_from in known]
    chosen = max(left, key=lambda revision: revision.record.started_at, default=None)
    return chosen if chosen is not None and chosen.record.state != "Failed" else None


def _release(content: dict[str, Any]) -> str:
    """Hash of what is asked for, whatever the credentials are."""
    return revision_hash(but_for_credentials(content))


def active_of(observed: ClusterState) -> Revision | None:
    """Where the Service points; without a Service, where it pointed last."""
    if (cutover := observed.cutover) is not None:
        return observed.revisions.get(cutover.to)
    served = [r for r in observed.revisions.values() if r.record.active_at and r.record.state == "Active"]
    return max(served, key=_switched, default=None)


def _switched(revision: Revision) -> tuple[int, str]:
    return revision.record.switch, revision.record.active_at


def _previous(observed: ClusterState, active: Revision | None) -> Revision | None:
    if active is None:
        return None
    if (cutover := observed.cutover) is not None:
        source = observed.revisions.get(cutover.source)
    else:
        left = [r for r in observed.revisions.values() if r.record.replaced_at and not r.record.retired_at]
        source = max(left, key=_switched, default=None)
    if source is None or source.record.retired_at or source.digest == active.digest:
        return None
    return source

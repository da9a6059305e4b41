"""Keeps the set of revisions right: gives up what the spec no longer asks for, makes a deleted record again."""

import copy
from typing import Any

import msgspec

from payment_operator import names
from payment_operator.decide.release import traffic
from payment_operator.decide.turn import Progress, Turn
from payment_operator.model.actions import Create
from payment_operator.model.observed import Revision
from payment_operator.resources import pods
from payment_operator.resources.metadata import Manifest
from payment_operator.resources.release_record import ReleaseRecord
from payment_operator.resources.revisions import controller_revision


def supersede(turn: Turn) -> Progress | None:
    """Give up every release that the spec no longer asks for; a running migration is left to end."""
    candidate, active, cutover = turn.placement.candidate, turn.placement.active, turn.observed.cutover
    kept = {revision.digest for revision in (candidate, active) if revision is not None}
    kept.add(cutover.to if cutover else "")
    left = [r for r in turn.observed.revisions.values() if r.record.state == "Releasing" and r.digest not in kept]
    if not turn.placement.desired or not left:
        return None
    for revision in left:
        turn.save(revision, msgspec.structs.replace(revision.record, state="Superseded", rollback_from=""))
        turn.decision.emit_event("Superseded", f"Revision {revision.number}: the spec asks for another one")
        turn.decision.outcomes.append("superseded")
    return Progress("Validate")


def unknown(turn: Turn) -> list[Revision]:
    """Revisions with pods or a part whose record this version cannot read: they are left alone, and so is the rest."""
    placement, populated = turn.placement, turn.observed.populated()
    parts = {
        revision.digest
        for revision in (placement.active, placement.previous, placement.candidate)
        if revision is not None
    }
    found = (revision for revision in turn.observed.revisions.values() if revision.record.state == "Unknown")
    return [revision for revision in found if revision.digest in parts | populated]


def recover(turn: Turn) -> Progress | None:
    """Make the ControllerRevision of a running revision again that somebody deleted, from its live Deployments.

    Its manifests are those that run, so that no pod restarts.
    """
    cutover, observed = turn.observed.cutover, turn.observed
    if cutover is None:
        return None
    missing = [digest for digest in (cutover.to, cutover.source) if digest and digest not in observed.revisions]
    found = [manifest for digest in missing if (manifest := _rebuilt(turn, digest)) is not None]
    turn.decision.actions += [Create(manifest) for manifest in found]
    if found:
        turn.decision.look_again(0.05)
    return Progress("Validate", "the record of the running revision") if found else None


def _rebuilt(turn: Turn, digest: str) -> Manifest | None:
    observed, cutover = turn.observed, turn.observed.cutover
    live = {
        component: observed.objects.get(("Deployment", names.deployment(observed.owner.name, component, digest)))
        for component in (names.API, names.WORKER)
    }
    manifests: Manifest = {component: _stored(item) for component, item in live.items() if item is not None}
    if len(manifests) < len(live) or cutover is None:
        return None
    content = turn.placement.content if digest == turn.placement.desired else _read_back(observed.owner.name, manifests)
    image = manifests[names.API]["spec"]["template"]["spec"]["containers"][0]["image"]
    spec = msgspec.structs.replace(observed.spec, image=image)
    credentials = (content or {}).get("credentials", "")
    secret = names.credentials(observed.owner.name, credentials)
    for use in (pods.MIGRATE, pods.SMOKE):
        manifests[use] = pods.job_pod(observed.owner, spec, use=use, revision=digest, credentials=secret)
    active = digest == cutover.to
    record = ReleaseRecord(
        state="Active" if active else "Replaced",
        switch=traffic.next_switch(observed) if active else 0,
        started_at=cutover.at,
        active_at=cutover.at,
        stable_at=cutover.at,
        replaced_at="" if active else cutover.at,
    )
    return controller_revision(
        observed.owner,
        digest=digest,
        number=_number(turn, digest),
        content=content or {},
        manifests=manifests,
        record=record,
    )


def _stored(live: Manifest) -> Manifest:
    """A live Deployment as a stored manifest."""
    spec = copy.deepcopy(live["spec"])
    spec.pop("replicas", None)
    spec["template"]["metadata"].pop("creationTimestamp", None)
    metadata = {"name": live["metadata"]["name"], "labels": live["metadata"]["labels"]}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def _read_back(environment: str, manifests: Manifest) -> dict[str, Any]:
    """What can be told of the input from the manifests."""
    pod = manifests[names.API]["spec"]["template"]["spec"]
    secrets = [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
    prefix = names.credentials(environment, "")
    digests = [name.removeprefix(prefix) for name in secrets if name.startswith(prefix)]
    return {"image": pod["containers"][0]["image"], "credentials": digests[0] if digests else ""}


def _number(turn: Turn, digest: str) -> int:
    """The number it had by the status, or the next one."""
    shown = (turn.observed.status.get(part) or {} for part in ("active", "previous", "candidate"))
    known = next((int(part["revision"]) for part in shown if part.get("hash") == digest), 0)
    return known or max((revision.number for revision in turn.observed.revisions.values()), default=0) + 1

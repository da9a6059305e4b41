"""Which revision a verb means, and whether it can be meant: refused here, before anything is written. Pure."""

from typing import Any

from payment_operator.plugin import by_hand
from payment_operator.plugin.errors import NotFound, Refused
from payment_operator.plugin.kubectl import Object
from payment_operator.plugin.progress import AFTER_BAKE, BEFORE_TRAFFIC
from payment_operator.plugin.rotation import RETAINED, UNDER_WAY, made_by_hand
from payment_operator.plugin.verdict import condition, failing, failure


def promoted(environment: Object, revision: int | None, *, reason: str = "") -> int:
    """Return the revision to promote; one that is being watched only with a reason, which ends the watch.

    Raises:
        Refused: nothing waits, it has the traffic already, or the revision is stale.
    """
    candidate = _candidate(environment, revision, "promote")
    number, step = candidate["revision"], candidate["step"]
    if step not in BEFORE_TRAFFIC and not (step == "Bake" and reason):
        early = f"kubectl payments promote {environment['metadata']['name']} --revision {number} --reason TEXT"
        fix = f"to end its watch early: {early}" if step == "Bake" else ""
        raise Refused(f"revision {number} is promoted already: its step is {step}", fix=fix)
    return int(number)


def approved(environment: Object, revision: int | None) -> int:
    """Return the revision to approve.

    Raises:
        Refused: nothing waits for an approval, it has the traffic already, or the revision is stale.
    """
    candidate = _candidate(environment, revision, "approve")
    if candidate["step"] not in BEFORE_TRAFFIC:
        raise Refused(f"revision {candidate['revision']} has traffic already (step {candidate['step']})")
    return int(candidate["revision"])


def aborted(environment: Object, revision: int | None) -> int:
    """Return the revision to abort.

    Raises:
        Refused: nothing is being released, it has traffic already, or the revision is stale.
    """
    candidate = _candidate(environment, revision, "abort")
    if candidate["step"] not in BEFORE_TRAFFIC:
        name = environment["metadata"]["name"]
        raise Refused(
            f"revision {candidate['revision']} has traffic already (step {candidate['step']})",
            fix=f"send the traffic back instead: kubectl payments rollback {name}",
        )
    return int(candidate["revision"])


def retried(environment: Object, revision: int | None) -> int | None:
    """Return the failed revision to try again; None when it is writes that were refused before there was one.

    Raises:
        Refused: nothing has failed, or another revision has.
    """
    contract = condition(environment, "Stalled").get("reason") == "ContractFailed"
    failed = environment["status"].get("active") if contract else failure(environment)
    if not failed and revision is None and failing(environment):
        return None
    if not failed:
        raise Refused("no revision has failed that could be tried again", fix=_look(environment))
    _not_stale(environment, failed["revision"], revision, "retry", "is the one that can be tried again")
    return int(failed["revision"])


def target_of_rollback(environment: Object, revisions: list[Object], to: int | None) -> int:
    """Return the revision to go back to.

    Raises:
        Refused: there is none, it serves already, or its blocker is known.
        NotFound: the revision is not remembered.
    """
    status = environment.get("status", {})
    previous, active = status.get("previous") or {}, status.get("active") or {}
    if to is None and not previous:
        raise Refused("there is no earlier revision to go back to", fix=_look(environment))
    target = previous["revision"] if to is None else to
    if target == active.get("revision"):
        raise Refused(f"revision {target} serves already")
    if to is None and not previous.get("rollbackable"):
        why = previous.get("blockedReason") or "the operator names no reason"
        name = environment["metadata"]["name"]
        again = f"release it once more: kubectl payments rollback {name} --to {target}"
        forwards = "release a repaired image forwards: change spec.image"
        fix = forwards if previous.get("retainUntil") else again
        raise Refused(f"going back to revision {target} at once is not possible: {why}", fix=fix)
    known = [entry["revision"] for entry in revisions]
    if known and target not in known:
        raise NotFound(
            f"revision {target} is not remembered; there are {', '.join(map(str, sorted(known)))}",
            fix=f"kubectl payments history {environment['metadata']['name']}",
        )
    return int(target)


def rotated(environment: Object, what: str, *, compromised: bool = False) -> None:
    """Check that the operator would rotate this secret now; of one that has leaked it is told at any time.

    Raises:
        Refused: a person makes it (the fix says how), a rotation or release runs, or nothing serves.
    """
    if made_by_hand(environment, what) and not (compromised and what in RETAINED):
        raise Refused(by_hand.REASONS[what], fix=by_hand.steps_of(environment, what, compromised=compromised))
    if compromised:
        return
    status = environment.get("status", {})
    reported: dict[str, Any] = (status.get("rotation") or {}).get(what) or {}
    candidate = status.get("candidate") or {}
    if reported.get("state") in UNDER_WAY:
        message = f": {reported['message']}" if reported.get("message") else ""
        raise Refused(
            f"rotation {reported.get('version', 0)} is under way, {reported['state']}{message}",
            fix=f"rotate again when it is over; see: {_look(environment)}",
        )
    if what != "database":
        return
    if not status.get("active"):
        raise Refused("no revision serves yet: there is no password in use", fix=_look(environment))
    if candidate and candidate["step"] not in AFTER_BAKE:
        raise Refused(
            f"revision {candidate['revision']} is being released, and a new password is a release of its own",
            fix=f"rotate when that is over; watch it: {_look(environment)} -w",
        )


def _candidate(environment: Object, revision: int | None, verb: str) -> dict[str, Any]:
    candidate: dict[str, Any] | None = environment.get("status", {}).get("candidate")
    if not candidate:
        raise Refused(f"nothing to {verb}: no revision is being released", fix=_look(environment))
    _not_stale(environment, candidate["revision"], revision, verb, "is being released")
    return candidate


def _not_stale(environment: Object, present: int, wanted: int | None, verb: str, what: str) -> None:
    if wanted is not None and wanted != present:
        name = environment["metadata"]["name"]
        raise Refused(
            f"revision {wanted} is stale: revision {present} {what}",
            fix=f"look at it first: kubectl payments status {name}\n"
            f"then: kubectl payments {verb} {name} --revision {present}",
        )


def _look(environment: Object) -> str:
    return f"kubectl payments status {environment['metadata']['name']}"

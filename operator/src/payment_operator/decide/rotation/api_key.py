"""What people are told of the Stripe API key: a refusal, and that the old key is no longer needed."""

from payment_operator.decide.rotation.staged_credentials import checked
from payment_operator.decide.turn import Turn
from payment_operator.model.key_proof import AGAIN_AFTER
from payment_operator.model.observed import Observed, Revision
from payment_operator.resources.credentials import API_KEY

ENDING = 4
"""As many last characters of a key as Stripe's own Dashboard shows."""


def report_refusal(turn: Turn) -> None:
    """Write one Event for each refusal, not one a pass."""
    if not turn.observed.api_key.settled:
        turn.decision.look_again(1)
    check = checked(turn.observed)
    if check is not None:
        turn.decision.look_again(AGAIN_AFTER[check.state].total_seconds())
    if check is None or check.state != "Refused":
        return
    rotation = (turn.observed.status.get("rotation") or {}).get("apiKey") or {}
    told = rotation.get("pending") or {}
    if (told.get("fingerprint"), told.get("reason")) != (check.fingerprint, check.reason):
        message = f"The new Stripe API key is refused: {check.message}; the key in use goes on serving"
        turn.decision.emit_event("KeyRefused", message, warning=True)


def replaced(observed: Observed, active: Revision | None) -> tuple[str, Revision] | None:
    """The key that the active one has replaced, with the last revision that used it; None when there is none."""
    present = observed.credentials(active).get(API_KEY, "")
    left = [r for r in observed.revisions.values() if r.record.replaced_at and r.record.state == "Replaced"]
    for revision in sorted(left, key=lambda r: (r.record.replaced_at, r.number), reverse=True):
        key = observed.credentials(revision).get(API_KEY, "")
        if present and key and key != present:
            return key, revision
    return None


def leaked(turn: Turn) -> tuple[Revision | None, str]:
    """The revision whose key has leaked, and what to answer; without one, why nothing can be done.

    While a former key is retained it is that one: who hears of a leak puts a new key first.
    """
    observed, active, previous = turn.observed, turn.placement.active, turn.placement.previous
    where = f"the Secret {observed.spec.stripe.api_key.secret_ref.name}"
    if active is None or active.record.state != "Active":
        return None, f"no revision serves; put a new key into {where}"
    key, former = (observed.credentials(revision).get(API_KEY, "") for revision in (active, previous))
    if previous is not None and former not in ("", key):
        return previous, (
            f"revision {previous.number} is retained no longer; when its pods have ended, revoke its key, ending in "
            f"{former[-ENDING:]}. If it is the key in use that leaked, put a new one into {where} and ask again then"
        )
    also = _also_changed(turn, active)
    if observed.sources.values.get(API_KEY) == key:
        return active, f"put a new key into {where}: it is proven, then released without hold and retention{also}"
    return active, f"the new key in {where} is released without hold and retention once Stripe accepts it{also}"


def _also_changed(turn: Turn, active: Revision) -> str:
    """What keeps a new key waiting: the spec asks for another image or other settings too."""
    if turn.placement.withheld:
        return f"; but it waits for {turn.placement.withheld}"
    if turn.observed.spec.release.promotion != "Manual" or not turn.placement.more_than_credentials:
        return ""
    return f"; but the spec has changed too: put it back to what revision {active.number} has, or promote"


def report_old_key(turn: Turn, active: Revision) -> None:
    """Say after the bake that the old key can be revoked."""
    found = replaced(turn.observed, active)
    if found is None or turn.placement.previous is None or found[1].digest != turn.placement.previous.digest:
        return
    key, revision = found
    message = (
        f"Revision {active.number} is stable with the new Stripe API key. The old one, ending in {key[-ENDING:]}, can "
        f"be revoked in Stripe's Dashboard; that ends the way back to revision {revision.number}"
    )
    turn.decision.emit_event("OldKeyReplaced", message)

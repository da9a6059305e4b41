"""Rotation of the webhook signing secret by a second endpoint, for Stripe has no call that rolls a secret.

Written before each act: the rotation's number; then, with one write of the hot Secret, the new endpoint (disabled) and
its secret; when every running pod accepts that secret the endpoint is enabled; when the overlap is over the former
endpoint is disabled, later deleted, and its secret removed (webhook_overlap). Until it is enabled, a new endpoint is
removed without a trace. Every act can be done again.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from payment_operator import names
from payment_operator.backoff import FIRST_SECONDS, LONGEST_SECONDS, wait_after
from payment_operator.decide.rotation.staged_credentials import UNREADABLE
from payment_operator.decide.rotation.webhook import endpoints, overlap, secrets, state
from payment_operator.decide.turn import AT_ONCE, Turn
from payment_operator.model.actions import Apply, CreateEndpoint, UpdateEndpoint, key_of
from payment_operator.model.observed import Observed
from payment_operator.resources.overlay import holds
from payment_operator.resources.release_record import moment, stamp
from payment_operator.resources.webhook_record import StoredEndpoint, WebhookRecord

QUIET: Final = ("terminal.reader.action_failed",)
"""The only type of a new endpoint's events until the pods accept its secret: Stripe creates endpoints enabled."""
API_VERSION: Final = "2026-10-28.endive"
"""What the first endpoint is made with, before pods tell theirs; tests/unit compares it with the service's."""
LEFT_MANAGED: Final = "the provider is SecretRef now"
PUT_IT: Final = "the provider is SecretRef: put the new secret into the Secret that secretRef names"
ACCEPT_SECONDS: Final = 600
RETRY_SECONDS: Final = 600


def advance(turn: Turn) -> None:
    """Keep the hot Secret, and take the present rotation further or begin one that is due."""
    observed, former = turn.observed, turn.observed.webhook_record
    _mind_silence(turn, former)
    if not turn.staged.usable or _written(turn):
        return
    record = secrets.settled(observed, former)
    keep = secrets.write(observed, record)
    if not holds(secrets.live(observed), keep.manifest):
        turn.decision.actions.append(keep)
        turn.decision.look_again(AT_ONCE)
        return
    for at in record.left.values():
        if (end := secrets.expiry(observed, record, at)) is not None:
            turn.decision.look_again(turn.seconds_until(end))
    if state.managed(observed):
        endpoints.repair(turn, record)
        if record.step != "Abandoning":
            endpoints.remove_orphans(turn, record)
    _STEPS[record.step](turn, record)


def _mind_silence(turn: Turn, record: WebhookRecord) -> None:
    """Look again when Stripe may be asked for the endpoints again; write one Event that none can be made, not many."""
    observed, fault = turn.observed, turn.observed.webhook.unlisted
    if fault is None:
        return
    turn.decision.look_again(turn.seconds_until(fault.again_at))
    told = ((observed.status.get("rotation") or {}).get("webhook") or {}).get("state") == "Failed"
    if state.stuck(observed, record) and secrets.live(observed) is not None and not told:
        why = turn.clean(f"No webhook endpoint can be made: {fault.message}")
        turn.decision.emit_event("WebhookRotationFailed", why, warning=True)


def _written(turn: Turn) -> bool:
    """Whether this turn writes the hot Secret already."""
    name = names.webhook_secrets(turn.observed.owner.name)
    return any(isinstance(action, Apply) and key_of(action.manifest) == ("Secret", name) for action in turn.planned)


def request_rotation(turn: Turn, *, operation: str, compromised: bool) -> tuple[bool, str]:
    """Begin a rotation because a person asks for it; tell whether, and what to answer."""
    observed, record = turn.observed, turn.observed.webhook_record
    if record.operation == operation:
        return True, f"rotation {record.number} of the webhook signing secret began before"
    if not turn.staged.usable:
        return False, UNREADABLE
    record = secrets.settled(observed, record)
    if not state.managed(observed):
        return _end_overlap(turn, record, operation) if compromised else (False, PUT_IT)
    if compromised and (state.busy(record) or observed.webhook.endpoints is None):
        return True, _leaked(turn, record, operation)
    if why := _hindered(observed, record):
        return False, why
    number = begin(turn, record, compromised=compromised, operation=operation)
    return True, f"rotation {number} of the webhook signing secret begins"


def _hindered(observed: Observed, record: WebhookRecord) -> str:
    """Why no rotation can begin now; empty when one can."""
    if observed.webhook.endpoints is None:
        return "Stripe does not answer, so its endpoints are not known; ask again"
    return f"rotation {record.number} is {record.step}; wait until it is complete" if state.busy(record) else ""


def _leaked(turn: Turn, record: WebhookRecord, operation: str) -> str:
    """Skip what the present rotation waits for, and have another one follow: any secret that exists may have leaked."""
    follow = state.busy(record) and record.step != "Creating"
    left = {} if record.current else record.left
    marked = msgspec.structs.replace(
        record, compromised=True, again=record.again or follow, failed_at="", left=left, operation=operation
    )
    secrets.save(turn, marked)
    if not state.busy(record):
        return "a rotation of the webhook signing secret begins when Stripe answers"
    after = "; another one follows at once, for its new secret may have leaked too" if follow else ""
    return f"rotation {record.number} goes on without overlap{after}"


def _end_overlap(turn: Turn, record: WebhookRecord, operation: str) -> tuple[bool, str]:
    """Accept former values no longer; the one in use is the source's, which only a person can replace."""
    if not record.left:
        return False, f"{PUT_IT}; asked again then, its former value is accepted no longer"
    secrets.save(turn, msgspec.structs.replace(record, left={}, operation=operation))
    return True, f"{len(record.left)} former values of the webhook signing secret are accepted no longer"


def begin(turn: Turn, record: WebhookRecord, *, compromised: bool = False, operation: str = "") -> int:
    """Write down the rotation's number, and return it; nothing is done at Stripe yet."""
    observed, leaked = turn.observed, compromised or record.compromised
    known = [int(item.metadata.get(endpoints.NUMBER, "0") or 0) for item in observed.webhook.endpoints or ()]
    begun = msgspec.structs.replace(
        record,
        number=max([record.number, *known]) + 1,
        attempt=1,
        step="Creating",
        at=stamp(observed.now),
        api_version=state.wanted_version(turn) or (record.current.api_version if record.current else "") or API_VERSION,
        url=observed.spec.stripe.webhook.url or "",
        failed_at="",
        message="",
        compromised=leaked,
        left={} if leaked and record.current else record.left,
        operation=operation or record.operation,
    )
    secrets.save(turn, begun)
    turn.decision.emit_event("WebhookRotationStarted", f"Rotation {begun.number} of the webhook signing secret")
    return begun.number


def _rest(turn: Turn, record: WebhookRecord) -> None:
    """No rotation is under way: begin one that is due."""
    observed = turn.observed
    if not state.managed(observed):
        _leave_managed(turn, record)
        return
    if (observed.suspended and not record.compromised) or observed.webhook.endpoints is None:
        return
    if record.failed_at:
        again = moment(record.failed_at) + timedelta(seconds=min(RETRY_SECONDS, state.times(observed).interval_seconds))
        if observed.now < again:
            turn.decision.look_again(turn.seconds_until(again))
            return
    if why := state.due(turn, record):
        begin(turn, record)
        turn.decision.emit_event("WebhookRotationDue", why)
    elif (at := state.due_at(observed)) is not None:
        turn.decision.look_again(turn.seconds_until(at))


def _leave_managed(turn: Turn, record: WebhookRecord) -> None:
    """The spec names a secret of its own now: the operator's endpoint goes after an overlap."""
    now = stamp(turn.observed.now)
    if record.current is not None:
        left = msgspec.structs.replace(
            record, step="Overlapping", at=now, enabled_at=now, former=record.current, current=None, verified=True
        )
        secrets.save(turn, left)
    elif record.failed_at:
        _abandon(turn, record, LEFT_MANAGED, failed=False)


def _creating(turn: Turn, record: WebhookRecord) -> None:
    observed = turn.observed
    if not state.managed(observed):
        _abandon(turn, record, LEFT_MANAGED, failed=False)
        return
    if record.attempt > 1 and observed.now < (again := _next_attempt(record)):
        turn.decision.look_again(turn.seconds_until(again))
        return
    identity = {
        endpoints.ENVIRONMENT: observed.owner.uid,
        endpoints.NUMBER: str(record.number),
        endpoints.ATTEMPT: str(record.attempt),
    }
    key = f"{observed.owner.uid}/webhook/{record.number}/{record.attempt}"
    endpoints.call_stripe(turn, CreateEndpoint(key, record.url, QUIET, record.api_version, identity, record))


def _next_attempt(record: WebhookRecord) -> datetime:
    """When the creation is asked for again after answers of no use."""
    wait = wait_after(record.attempt - 1, first=FIRST_SECONDS, longest=LONGEST_SECONDS)
    return moment(record.at) + timedelta(seconds=wait)


def _accepting(turn: Turn, record: WebhookRecord) -> None:
    """Enable the new endpoint when every running pod of every revision accepts its secret."""
    observed, new = turn.observed, record.next
    if new is None or not state.managed(observed):
        _abandon(turn, record, LEFT_MANAGED)
        return
    if (version := state.wanted_version(turn)) and version != new.api_version:
        _abandon(turn, record, f"the image speaks API version {version} now", failed=False)
        return
    if observed.webhook.endpoints is not None and new.id not in {item.id for item in observed.webhook.endpoints}:
        _abandon(turn, record, f"endpoint {new.id} was deleted at Stripe")
        return
    if state.accepted_by_all(observed, new.fingerprint):
        endpoints.call_stripe(turn, _enable(observed, record, new))
        return
    end = moment(record.at) + timedelta(seconds=ACCEPT_SECONDS)
    if record.current is not None and observed.now >= end:
        _abandon(
            turn,
            record,
            f"the new secret was not accepted by {', '.join(state.lacking(observed, new.fingerprint))}",
        )
        return
    turn.decision.look_again(1)


def _enable(observed: Observed, record: WebhookRecord, new: StoredEndpoint) -> UpdateEndpoint:
    now = stamp(observed.now)
    done = msgspec.structs.replace(
        record,
        step="Overlapping",
        at=now,
        enabled_at=now,
        rotated_at=now,
        former=record.current,
        current=new,
        next=None,
        verified=False,
        warned=False,
        left={} if record.compromised else record.left,
    )
    webhook = observed.spec.stripe.webhook
    return UpdateEndpoint(
        endpoint=new.id,
        url=webhook.url or "",
        events=webhook.wanted_events,
        disabled=False,
        then=secrets.write(observed, done),
        told=f"endpoint {new.id} is enabled with the secret {new.fingerprint}",
    )


def _abandon(turn: Turn, record: WebhookRecord, why: str, *, failed: bool = True) -> None:
    now = stamp(turn.observed.now)
    left = msgspec.structs.replace(record, step="Abandoning", at=now, message=why, failed_at=now if failed else "")
    secrets.save(turn, left)
    turn.decision.emit_event("WebhookRotationAbandoned", f"Rotation {record.number}: {why}", warning=failed)


def _abandoning(turn: Turn, record: WebhookRecord) -> None:
    """Remove what the rotation has made: the new endpoint, and one whose creation nobody has written down."""
    kept = msgspec.structs.replace(record, next=None)
    if endpoints.remove_all_but(turn, kept):
        leaked = record.compromised or record.again
        done = msgspec.structs.replace(kept, step="", at=stamp(turn.observed.now), compromised=leaked, again=False)
        secrets.save(turn, done)


_STEPS: Final[dict[str, Callable[[Turn, WebhookRecord], None]]] = {
    "": _rest,
    "Creating": _creating,
    "Accepting": _accepting,
    "Overlapping": overlap.overlap,
    "Retiring": overlap.retire,
    "Abandoning": _abandoning,
}

"""The second half of a webhook rotation: both endpoints are enabled, then the former is disabled and deleted.

The former goes only while Stripe lists the new one: when somebody has deleted that, the former is in use again.
"""

from datetime import timedelta
from typing import Final

import msgspec

from payment_operator.decide.rotation.webhook import endpoints, secrets, state
from payment_operator.decide.turn import Turn
from payment_operator.model.actions import DeleteEndpoint, UpdateEndpoint
from payment_operator.model.observed import Observed
from payment_operator.resources.release_record import moment, stamp
from payment_operator.resources.webhook_record import StoredEndpoint, WebhookRecord

DRAIN_SECONDS: Final = 600
"""Between disabling and deleting the former endpoint, at most."""
SHOWN: Final = 20


def overlap(turn: Turn, record: WebhookRecord) -> None:
    """Both endpoints are enabled; the former goes when nothing from before is left to deliver."""
    observed = turn.observed
    ended = state.over(observed, record)
    if _came_back(turn, record) or _fell_back(turn, record):
        return
    if not record.verified and state.verified(observed, record):
        secrets.save(turn, msgspec.structs.replace(record, verified=True))
        turn.decision.emit_event(
            "WebhookSecretVerified", f"Rotation {record.number}: an event came with the new secret"
        )
    elif not record.verified and ended and not record.warned:
        secrets.save(turn, msgspec.structs.replace(record, warned=True))
        why = f"Rotation {record.number}: no event has come with the new secret yet"
        turn.decision.emit_event("WebhookSecretUnproven", why, warning=True)
    elif record.former is None:
        _finish_first(turn, record)
    elif not ended and not record.compromised:
        end = moment(record.enabled_at) + timedelta(seconds=state.times(observed).overlap_seconds)
        turn.decision.look_again(turn.seconds_until(end) if record.verified else 5)
    else:
        _disable(turn, record, record.former)


def _came_back(turn: Turn, record: WebhookRecord) -> bool:
    """Whether Managed was left and is wanted again: the only endpoint, which was to go, is the one in use then."""
    if record.current is not None or record.former is None or not state.managed(turn.observed):
        return False
    kept = msgspec.structs.replace(
        record,
        step="",
        at=stamp(turn.observed.now),
        current=record.former,
        former=None,
        compromised=record.compromised or record.again,
        again=False,
    )
    secrets.save(turn, kept)
    turn.decision.emit_event(
        "WebhookEndpoint", f"endpoint {record.former.id} stays in use: the provider is Managed again"
    )
    return True


def _fell_back(turn: Turn, record: WebhookRecord) -> bool:
    """Whether the former endpoint must stay: Stripe does not list the new one, or tells nothing."""
    observed, current, former = turn.observed, record.current, record.former
    if current is None:
        return False
    if observed.webhook.endpoints is None:
        turn.decision.look_again(2)
        return True
    listed = {item.id for item in observed.webhook.endpoints}
    if current.id in listed:
        return False
    why = f"endpoint {current.id} was deleted at Stripe"
    now = stamp(observed.now)
    stays = former if former is not None and former.id in listed else None
    at_once = stays is None or record.compromised or record.again
    left = msgspec.structs.replace(
        record,
        step="Abandoning",
        at=now,
        current=stays,
        next=current,
        former=None,
        message=why,
        failed_at="" if at_once else now,
    )
    secrets.save(turn, left)
    told = f"Rotation {record.number}: {why}; {stays.id + ' stays in use' if stays else 'a new one is made'}"
    turn.decision.emit_event("WebhookRotationAbandoned", told, warning=True)
    return True


def _finish_first(turn: Turn, record: WebhookRecord) -> None:
    if record.verified or record.warned or record.compromised:
        secrets.save(turn, record.finished(at=stamp(turn.observed.now)))
    else:
        turn.decision.look_again(5)


def _disable(turn: Turn, record: WebhookRecord, former: StoredEndpoint) -> None:
    observed = turn.observed
    end = moment(record.enabled_at) + timedelta(seconds=state.times(observed).max_overlap_seconds)
    undelivered = observed.webhook.undelivered
    forced = observed.now >= end or record.compromised
    if not forced and (undelivered is None or undelivered or not record.verified):
        waited = (observed.now - moment(record.enabled_at)).total_seconds() - state.times(observed).overlap_seconds
        turn.decision.look_again(min(30, max(1, waited / 10)))
        return
    lost = turn.clean(_undelivered(observed))
    done = msgspec.structs.replace(record, step="Retiring", at=stamp(observed.now), message=lost)
    change = UpdateEndpoint(
        endpoint=former.id,
        disabled=True,
        then=secrets.write(observed, done),
        told=f"the former endpoint {former.id} is disabled",
        warning=lost,
    )
    endpoints.call_stripe(turn, change)


def _undelivered(observed: Observed) -> str:
    """Which events the former endpoint takes with it, in words; empty when none."""
    seen = observed.webhook
    if seen.undelivered is None:
        why = seen.unread or "Stripe did not list them"
        found = f"which events were not delivered before the former endpoint was disabled is not known ({why})"
    elif seen.undelivered:
        shown = ", ".join(seen.undelivered[:SHOWN])
        found = f"{len(seen.undelivered)} events were not delivered before the former endpoint was disabled: {shown}"
    else:
        return ""
    return f"{found}; reconciliation fetches what is missing"


def retire(turn: Turn, record: WebhookRecord) -> None:
    """The former endpoint is disabled; later it is deleted, and its secret removed."""
    observed = turn.observed
    if _came_back(turn, record) or _fell_back(turn, record):
        return
    wait = min(DRAIN_SECONDS, state.times(observed).overlap_seconds)
    end = moment(record.at) + timedelta(seconds=wait)
    if observed.now < end and not record.compromised:
        turn.decision.look_again(turn.seconds_until(end))
        return
    done = msgspec.structs.replace(record.finished(at=stamp(observed.now)), former=None)
    if record.former is None:
        secrets.save(turn, done)
    else:
        told = f"Rotation {record.number} is complete: {record.former.id} and its secret are removed"
        then = secrets.write(observed, done)
        endpoints.call_stripe(turn, DeleteEndpoint(endpoint=record.former.id, then=then, told=told))

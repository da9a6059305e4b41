"""Rotation of the webhook signing secret by a second endpoint, for Stripe has no call that rolls a secret.

Written before each act: the rotation's number; then, with one write of the hot Secret, the new endpoint (disabled) and
its secret; when every running pod accepts that secret the endpoint is enabled; when the overlap is over the former
endpoint is disabled, later deleted, and its secret removed. Until it is enabled, a new endpoint is removed without a
trace. Every act can be done again.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import msgspec

from payment_operator import names
from payment_operator.actions import Apply, CreateEndpoint, DeleteEndpoint, UpdateEndpoint, key_of
from payment_operator.decide import webhook_endpoints as endpoints
from payment_operator.decide import webhook_secrets
from payment_operator.decide import webhook_state as state
from payment_operator.decide.turn import AT_ONCE, Turn
from payment_operator.observed import Observed
from payment_operator.record import moment, stamp
from payment_operator.resources.overlay import holds
from payment_operator.resources.webhook_record import StoredEndpoint, WebhookRecord

QUIET: Final = ("terminal.reader.action_failed",)
"""The only type of a new endpoint's events until the pods accept its secret: Stripe creates endpoints enabled."""
API_VERSION: Final = "2026-10-28.endive"
"""What the first endpoint is made with, before pods tell theirs; tests/unit compares it with the service's."""
ACCEPT_SECONDS: Final = 600
RETRY_SECONDS: Final = 600
DRAIN_SECONDS: Final = 600
"""Between disabling and deleting the former endpoint, at most."""
SHOWN: Final = 20


def advance(turn: Turn) -> None:
    """Keep the hot Secret, and take the present rotation further or begin one that is due."""
    observed, former = turn.observed, turn.observed.webhook_record
    if not observed.sources.usable or _written(turn):
        return
    record = webhook_secrets.settled(observed, former)
    keep = webhook_secrets.write(observed, record)
    if not holds(webhook_secrets.live(observed), keep.manifest):
        turn.decision.actions.append(keep)
        turn.decision.look_again(AT_ONCE)
        return
    for at in record.left.values():
        turn.decision.look_again(turn.seconds_until(webhook_secrets.expiry(observed, at)))
    if state.managed(observed):
        endpoints.repair(turn, record)
        endpoints.remove_orphans(turn, record)
    _STEPS[record.step](turn, record)


def _written(turn: Turn) -> bool:
    """Whether this turn writes the hot Secret already."""
    name = names.webhook_secrets(turn.observed.owner.name)
    return any(
        isinstance(action, Apply) and key_of(action.manifest) == ("Secret", name) for action in turn.decision.actions
    )


def ask(turn: Turn, *, operation: str, compromised: bool) -> tuple[bool, str]:
    """Begin a rotation because a person asks for it; tell whether, and what to answer."""
    observed = turn.observed
    record = webhook_secrets.settled(observed, observed.webhook_record)
    if record.operation == operation:
        return True, f"rotation {record.number} of the webhook signing secret began"
    if not state.managed(observed):
        return False, "the provider is SecretRef: put the new secret into the Secret that secretRef names"
    if observed.webhook.endpoints is None:
        return False, "Stripe does not answer, so its endpoints are not known; ask again"
    if state.busy(record):
        return False, f"rotation {record.number} is {record.step}; wait until it is complete"
    number = begin(turn, record, compromised=compromised, operation=operation)
    return True, f"rotation {number} of the webhook signing secret begins"


def begin(turn: Turn, record: WebhookRecord, *, compromised: bool = False, operation: str = "") -> int:
    """Write down the rotation's number, and return it; nothing is done at Stripe yet."""
    observed = turn.observed
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
        compromised=compromised,
        operation=operation,
    )
    _save(turn, begun)
    turn.decision.tell("WebhookRotationStarted", f"Rotation {begun.number} of the webhook signing secret")
    return begun.number


def _save(turn: Turn, record: WebhookRecord) -> None:
    turn.decision.actions.append(webhook_secrets.write(turn.observed, record))
    turn.decision.look_again(AT_ONCE)


def _rest(turn: Turn, record: WebhookRecord) -> None:
    """No rotation is under way: begin one that is due."""
    observed = turn.observed
    if not state.managed(observed):
        if record.current is not None:
            _save(turn, _left_managed(observed, record))
        return
    if observed.spec.suspend or observed.webhook.endpoints is None:
        return
    if record.failed_at:
        again = moment(record.failed_at) + timedelta(seconds=min(RETRY_SECONDS, state.times(observed).interval_seconds))
        if observed.now < again:
            turn.decision.look_again(turn.seconds_until(again))
            return
    if why := state.due(turn, record):
        begin(turn, record)
        turn.decision.tell("WebhookRotationDue", why)
    elif (at := state.due_at(observed)) is not None:
        turn.decision.look_again(turn.seconds_until(at))


def _left_managed(observed: Observed, record: WebhookRecord) -> WebhookRecord:
    """The spec names a secret of its own now: the operator's endpoint goes after an overlap."""
    now = stamp(observed.now)
    return msgspec.structs.replace(
        record, step="Overlapping", at=now, enabled_at=now, former=record.current, current=None, verified=True
    )


def _creating(turn: Turn, record: WebhookRecord) -> None:
    observed = turn.observed
    if not state.managed(observed):
        _save(turn, record.at_step("", at=stamp(observed.now)))
        return
    identity = {
        endpoints.ENVIRONMENT: observed.owner.uid,
        endpoints.NUMBER: str(record.number),
        endpoints.ATTEMPT: str(record.attempt),
    }
    key = f"{observed.owner.uid}/webhook/{record.number}/{record.attempt}"
    endpoints.ask(turn, CreateEndpoint(key, record.url, QUIET, record.api_version, identity, record))


def _accepting(turn: Turn, record: WebhookRecord) -> None:
    """Enable the new endpoint when every running pod of every revision accepts its secret."""
    observed, new = turn.observed, record.next
    if new is None or not state.managed(observed):
        _abandon(turn, record, "the provider is SecretRef now")
        return
    if (version := state.wanted_version(turn)) and version != new.api_version:
        _abandon(turn, record, f"the image speaks API version {version} now", failed=False)
        return
    if observed.webhook.endpoints is not None and new.id not in {item.id for item in observed.webhook.endpoints}:
        _abandon(turn, record, f"endpoint {new.id} was deleted at Stripe")
        return
    if state.accepted_by_all(observed, new.fingerprint):
        endpoints.ask(turn, _enable(observed, record, new))
        return
    end = moment(record.at) + timedelta(seconds=ACCEPT_SECONDS)
    if record.current is not None and observed.now >= end:
        _abandon(
            turn,
            record,
            f"not every pod accepted the new secret: {', '.join(state.lacking(observed, new.fingerprint))}",
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
    )
    webhook = observed.spec.stripe.webhook
    return UpdateEndpoint(
        endpoint=new.id,
        url=webhook.url or "",
        events=webhook.wanted_events,
        disabled=False,
        then=webhook_secrets.write(observed, done),
        told=f"endpoint {new.id} is enabled with the secret {new.fingerprint}",
    )


def _abandon(turn: Turn, record: WebhookRecord, why: str, *, failed: bool = True) -> None:
    now = stamp(turn.observed.now)
    left = msgspec.structs.replace(record, step="Abandoning", at=now, message=why, failed_at=now if failed else "")
    _save(turn, left)
    turn.decision.tell("WebhookRotationAbandoned", f"Rotation {record.number}: {why}", warning=failed)


def _abandoning(turn: Turn, record: WebhookRecord) -> None:
    done = msgspec.structs.replace(record, step="", at=stamp(turn.observed.now), next=None)
    if record.next is None:
        _save(turn, done)
    else:
        endpoints.ask(turn, DeleteEndpoint(endpoint=record.next.id, then=webhook_secrets.write(turn.observed, done)))


def _overlapping(turn: Turn, record: WebhookRecord) -> None:
    """Both endpoints are enabled; the former goes when nothing from before is left to deliver."""
    observed, rotation = turn.observed, state.times(turn.observed)
    ended = state.over(observed, record)
    if not record.verified and state.verified(observed, record):
        _save(turn, msgspec.structs.replace(record, verified=True))
        turn.decision.tell("WebhookSecretVerified", f"Rotation {record.number}: an event came with the new secret")
    elif not record.verified and ended and not record.warned:
        _save(turn, msgspec.structs.replace(record, warned=True))
        why = f"Rotation {record.number}: no event has come with the new secret yet"
        turn.decision.tell("WebhookSecretUnproven", why, warning=True)
    elif record.former is None:
        _finish_first(turn, record)
    elif not ended and not record.compromised:
        end = moment(record.enabled_at) + timedelta(seconds=rotation.overlap_seconds)
        turn.decision.look_again(turn.seconds_until(end) if record.verified else 5)
    else:
        _retire(turn, record, record.former)


def _finish_first(turn: Turn, record: WebhookRecord) -> None:
    if record.verified or record.warned:
        _save(turn, record.at_step("", at=stamp(turn.observed.now)))
    else:
        turn.decision.look_again(5)


def _retire(turn: Turn, record: WebhookRecord, former: StoredEndpoint) -> None:
    observed = turn.observed
    end = moment(record.enabled_at) + timedelta(seconds=state.times(observed).max_overlap_seconds)
    undelivered = observed.webhook.undelivered
    forced = observed.now >= end or record.compromised
    if not forced and (undelivered is None or undelivered or not record.verified):
        waited = (observed.now - moment(record.enabled_at)).total_seconds() - state.times(observed).overlap_seconds
        turn.decision.look_again(min(30, max(1, waited / 10)))
        return
    if undelivered:
        shown = ", ".join(undelivered[:SHOWN])
        why = f"{len(undelivered)} events were not delivered before the former endpoint was disabled: {shown}"
        turn.decision.tell("WebhookEventsUndelivered", f"{why}; reconciliation fetches them", warning=True)
    done = record.at_step("Retiring", at=stamp(observed.now))
    then = webhook_secrets.write(observed, done)
    endpoints.ask(
        turn,
        UpdateEndpoint(
            endpoint=former.id, disabled=True, then=then, told=f"the former endpoint {former.id} is disabled"
        ),
    )


def _retiring(turn: Turn, record: WebhookRecord) -> None:
    observed = turn.observed
    wait = min(DRAIN_SECONDS, state.times(observed).overlap_seconds)
    end = moment(record.at) + timedelta(seconds=wait)
    if observed.now < end and not record.compromised:
        turn.decision.look_again(turn.seconds_until(end))
        return
    done = msgspec.structs.replace(record, step="", at=stamp(observed.now), former=None, compromised=False)
    then = webhook_secrets.write(observed, done)
    if record.former is None:
        _save(turn, done)
    else:
        told = f"Rotation {record.number} is complete: {record.former.id} and its secret are removed"
        endpoints.ask(turn, DeleteEndpoint(endpoint=record.former.id, then=then, told=told))


_STEPS: Final[dict[str, Callable[[Turn, WebhookRecord], None]]] = {
    "": _rest,
    "Creating": _creating,
    "Accepting": _accepting,
    "Overlapping": _overlapping,
    "Retiring": _retiring,
    "Abandoning": _abandoning,
}

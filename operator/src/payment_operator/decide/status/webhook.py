"""What the status says of the webhook signing secret."""

from payment_operator.api.rotation import WebhookSecretStatus
from payment_operator.decide.rotation.webhook import secrets, state
from payment_operator.decide.turn import Turn
from payment_operator.resources.release_record import stamp
from payment_operator.resources.webhook_record import WebhookRecord


def webhook_status(turn: Turn) -> WebhookSecretStatus | None:
    """The webhook signing secret; None before the first write of the hot Secret."""
    observed, record = turn.observed, turn.observed.webhook_record
    if secrets.live(observed) is None:
        return None
    due = state.due_at(observed)
    failed = record.failed_at or state.stuck(observed, record)
    return WebhookSecretStatus(
        state=record.step or ("Failed" if failed else "Current"),
        version=record.number,
        fingerprint=record.current.fingerprint if record.current else record.source,
        endpoint=record.current.id if record.current else "",
        rotated_at=record.rotated_at or None,
        next_rotation=stamp(due) if due else None,
        message=turn.clean(_message(turn, record)),
    )


def _message(turn: Turn, record: WebhookRecord) -> str:
    observed = turn.observed
    fault = observed.webhook.unlisted or (observed.webhook.fault if record.step else None)
    if fault is not None:
        return fault.message
    if record.step == "Accepting" and record.next is not None:
        return "waits for every running pod to accept the new secret"
    if record.step == "Overlapping":
        return state.waits_for(observed, record)
    if record.left and not record.failed_at:
        return f"{len(record.left)} former values are accepted until their overlap is over"
    return record.message

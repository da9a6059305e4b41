"""What the status says of the webhook signing secret."""

from contextlib import suppress

from payment_operator.api.rotation import WebhookSecretStatus
from payment_operator.decide import webhook_secrets, webhook_state
from payment_operator.decide.turn import Turn
from payment_operator.metrics import WEBHOOK, WEBHOOK_DUE, WEBHOOK_FAILED, WEBHOOK_ROTATED
from payment_operator.record import moment, stamp
from payment_operator.resources.webhook_record import WebhookRecord


def webhook_status(turn: Turn) -> WebhookSecretStatus | None:
    """The webhook signing secret; None before the first write of the hot Secret."""
    observed, record = turn.observed, turn.observed.webhook_record
    if webhook_secrets.live(observed) is None:
        return None
    due = webhook_state.due_at(observed)
    return WebhookSecretStatus(
        state=record.step or ("Failed" if record.failed_at else "Current"),
        version=record.number,
        fingerprint=record.current.fingerprint if record.current else record.source,
        endpoint=record.current.id if record.current else "",
        rotated_at=record.rotated_at or None,
        next_rotation=stamp(due) if due else None,
        message=turn.clean(_message(turn, record)),
    )


def measure(where: tuple[str, str], status: WebhookSecretStatus | None) -> None:
    """Set the metrics of one environment; None takes them away."""
    if status is None or not status.rotated_at or not status.next_rotation:
        forget(where)
        return
    WEBHOOK_ROTATED.labels(*where).set(moment(status.rotated_at).timestamp())
    WEBHOOK_DUE.labels(*where).set(moment(status.next_rotation).timestamp())
    WEBHOOK_FAILED.labels(*where).set(status.state == "Failed")


def forget(where: tuple[str, str]) -> None:
    """Take the metrics of an environment away."""
    for gauge in WEBHOOK:
        with suppress(KeyError):
            gauge.remove(*where)


def _message(turn: Turn, record: WebhookRecord) -> str:
    observed = turn.observed
    if record.step and observed.webhook.fault is not None:
        return observed.webhook.fault.message
    if record.step == "Accepting" and record.next is not None:
        return "waits for every running pod to accept the new secret"
    if record.step == "Overlapping":
        return webhook_state.waits_for(observed, record)
    if record.left:
        return f"{len(record.left)} former values are accepted until their overlap is over"
    return record.message

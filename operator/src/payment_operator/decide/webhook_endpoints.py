"""The endpoints at Stripe beside the steps of a rotation: mended, removed, and asked for no sooner than it makes sense."""

from typing import Final

from payment_operator.actions import DeleteEndpoint, EndpointAction, UpdateEndpoint
from payment_operator.decide.turn import AT_ONCE, Turn
from payment_operator.resources.webhook_record import WebhookRecord

ENVIRONMENT, NUMBER, ATTEMPT = "payments_environment", "payments_rotation", "payments_attempt"
"""Metadata by which an endpoint is known as ours."""
ORPHAN_SECONDS: Final = 60
"""An endpoint that no record names is removed at this age: it may have been made a moment ago."""


def repair(turn: Turn, record: WebhookRecord) -> None:
    """Mend the endpoint in use: enabled, with the address and events that the spec asks for."""
    observed, webhook = turn.observed, turn.observed.spec.stripe.webhook
    for item in observed.webhook.endpoints or ():
        if record.current is None or item.id != record.current.id:
            continue
        if not (item.enabled and item.url == webhook.url and set(item.events) == set(webhook.wanted_events)):
            told = f"endpoint {item.id} has its address and events again"
            change = UpdateEndpoint(endpoint=item.id, url=webhook.url or "", events=webhook.wanted_events, told=told)
            ask(turn, change)


def remove_orphans(turn: Turn, record: WebhookRecord) -> None:
    """Remove endpoints that carry this environment's uid and that no record names."""
    observed = turn.observed
    known = {endpoint.id for endpoint in record.endpoints()}
    for item in observed.webhook.endpoints or ():
        mine = (item.metadata.get(NUMBER), item.metadata.get(ATTEMPT)) == (str(record.number), str(record.attempt))
        young = observed.now.timestamp() - item.created < ORPHAN_SECONDS
        if item.id in known or (record.step == "Creating" and mine):
            continue
        if young:
            turn.decision.look_again(ORPHAN_SECONDS)
            continue
        ask(turn, DeleteEndpoint(endpoint=item.id, told=f"endpoint {item.id} is not in use and was removed"))


def ask(turn: Turn, action: EndpointAction) -> None:
    """Do it at Stripe, unless that failed a moment ago."""
    fault = turn.observed.webhook.fault
    if fault is not None and turn.observed.now < fault.again_at:
        turn.decision.look_again(turn.seconds_until(fault.again_at))
        return
    turn.decision.actions.append(action)
    turn.decision.look_again(AT_ONCE)

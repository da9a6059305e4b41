"""The endpoints at Stripe beside the steps of a rotation: mended, removed, asked for not too often."""

from typing import Final

import msgspec

from payment_operator.decide.rotation.webhook import secrets
from payment_operator.decide.turn import Turn
from payment_operator.model.actions import DeleteEndpoint, EndpointAction, UpdateEndpoint
from payment_operator.model.observed import Observed
from payment_operator.model.webhook import Endpoint
from payment_operator.resources.release_record import stamp
from payment_operator.resources.webhook_record import StoredEndpoint, WebhookRecord

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
            call_stripe(turn, change)


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
        call_stripe(turn, DeleteEndpoint(endpoint=item.id, told=f"endpoint {item.id} is not in use and was removed"))


def remove_all_but(turn: Turn, record: WebhookRecord) -> bool:
    """Remove every endpoint of ours that the record does not name; tell whether none is left."""
    listed = turn.observed.webhook.endpoints
    if listed is None:
        turn.decision.look_again(2)
        return False
    kept = {endpoint.id for endpoint in record.endpoints()}
    left = [item.id for item in listed if item.id not in kept]
    for endpoint in left:
        call_stripe(turn, DeleteEndpoint(endpoint=endpoint, told=f"endpoint {endpoint} was never used and is removed"))
    return not left


def call_stripe(turn: Turn, action: EndpointAction) -> None:
    """Do it at Stripe, unless that failed a moment ago."""
    turn.attempt(action, fault=turn.observed.webhook.fault)


def created(observed: Observed, record: WebhookRecord, endpoint: Endpoint) -> WebhookRecord:
    """The record once the new endpoint is there and disabled; to be written with its secret."""
    fingerprint = secrets.fingerprint_of(observed, endpoint.secret)
    made = StoredEndpoint(endpoint.id, fingerprint, record.api_version)
    return msgspec.structs.replace(record, step="Accepting", at=stamp(observed.now), next=made)


def attempted(observed: Observed, record: WebhookRecord) -> WebhookRecord:
    """The record after a creation whose answer is of no use: the next one has a key of its own, and comes later."""
    return msgspec.structs.replace(record, attempt=record.attempt + 1, at=stamp(observed.now))


def refused(observed: Observed, record: WebhookRecord, message: str) -> WebhookRecord:
    """The record after Stripe has refused: nothing was made."""
    now = stamp(observed.now)
    return msgspec.structs.replace(record, step="", at=now, failed_at=now, message=message)

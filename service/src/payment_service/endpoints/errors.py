"""Refusals of webhook endpoints' own."""

from __future__ import annotations

from payment_service.errors import Conflict, ServiceUnavailable


class SigningKeyMissing(ServiceUnavailable):
    """No secret can be derived: `WEBHOOK_SIGNING_KEY` has no value, or lacks the one that an endpoint needs."""

    code, title = "signing_key_missing", "The service has no key to sign webhooks with"


class TooManyEndpoints(Conflict):
    """There are as many webhook endpoints as there may be."""

    code, title = "too_many_webhook_endpoints", "There are as many webhook endpoints as there may be"


class TooManyTests(Conflict):
    """As many test events wait for an endpoint as may."""

    code, title = "too_many_webhook_tests", "As many test events wait for the webhook endpoint as may"


class ReplayUnderWay(Conflict):
    """An endpoint has one replay at a time."""

    code, title = "webhook_replay_under_way", "A replay to the webhook endpoint is under way"

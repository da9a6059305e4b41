"""Environments at rest, with what the operator reports of their secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.operator.plugin.objects import (
    BLUE,
    active,
    ago,
    ahead,
    condition,
    environment,
    observed,
    revision_pods,
    service,
)

if TYPE_CHECKING:
    from payment_operator.plugin.snapshot import Observed

SCHEMA = {"current": "4", "target": "4"}
BLUE_PODS = revision_pods(BLUE, seconds=4 * 86400)
WEBHOOK = {
    "state": "Current",
    "version": 3,
    "fingerprint": "5f2a9c01d7e84b36",
    "endpoint": "we_1",
    "rotatedAt": ago(12 * 86400),
    "nextRotation": ahead(78 * 86400),
}
KEY = {
    "state": "Current",
    "version": 2,
    "fingerprint": "0b6e41f2a8c93d75",
    "rotatedAt": ago(80 * 86400),
    "nextRotation": ahead(10 * 86400),
}
PASSWORD = {
    "state": "Current",
    "version": 7,
    "role": "shop_b",
    "fingerprint": "c1d20e9f64b7a835",
    "rotatedAt": ago(3 * 86400),
    "nextRotation": ahead(27 * 86400),
}
SECRET_KEY = {
    "state": "Removable",
    "version": 2,
    "fingerprint": "51aa0c9d77de9a1b",
    "rotatedAt": ago(9 * 86400),
    "message": "no API key needs the former values; they can be removed from the Secret",
}


def rotated(
    webhook: object = None,
    api_key: object = None,
    database: object = None,
    *,
    secret_key: object = None,
    conditions: tuple[object, ...] = (),
    managed: bool = True,
) -> Observed:
    """An environment at rest with what the operator reports of its secrets."""
    rotation = {"webhook": webhook, "apiKey": api_key, "database": database, "secretKey": secret_key}
    status = {
        "active": active(),
        "migration": SCHEMA,
        "stable": 17,
        "rotation": {name: found for name, found in rotation.items() if found},
        "conditions": [*conditions, condition("Ready", "True", "Serving")],
    }
    found = environment(status=status)
    if managed:
        found["spec"]["stripe"]["webhook"]["provider"] = "Managed"
        found["spec"]["database"]["rotation"]["mode"] = "AlternatingRoles"
    return observed(found, *BLUE_PODS, service(BLUE))


def secrets_in_use() -> Observed:
    locked = "the former role is locked when the pods that use it have ended"
    return rotated(
        WEBHOOK | {"state": "Accepting", "message": "waits for every running pod to accept the new secret"},
        KEY | {"revocable": "x7Qa"},
        PASSWORD | {"state": "Retaining", "formerRole": "shop_a", "message": locked},
    )


def secrets_in_trouble() -> Observed:
    pending = {
        "fingerprint": "77aa01c2e5f09b48",
        "state": "Refused",
        "reason": "MissingPermission",
        "message": "it lacks rak_customer_write",
        "checkedAt": ago(20),
    }
    refused = "STRIPE_SECRET_KEY: it lacks rak_customer_write; the key in use goes on serving"
    return rotated(
        WEBHOOK | {"state": "Failed", "message": "Stripe has 16 endpoints of this account already"},
        KEY | {"state": "Refused", "pending": pending},
        PASSWORD | {"state": "Failed", "message": "the role may not make roles"},
        conditions=(condition("Stalled", "True", "KeyRefused", refused),),
    )

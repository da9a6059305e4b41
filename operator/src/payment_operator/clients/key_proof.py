"""Tries an API key at Stripe before anything uses it: whose it is, of which mode, and each permission. Changes nothing.

A read permission is tried with a list of at most one object. A write permission is tried with an update of an object
that cannot exist: Stripe checks the permission first, so 404 means allowed, and nothing is written.
"""

import asyncio
from datetime import datetime
from typing import Final, Protocol

from payment_operator.api.api_key import COLLECTIONS, MANAGING
from payment_operator.api.environment import Environment
from payment_operator.clients.stripe_http import address, base_of
from payment_operator.model.key_proof import Answer, KeyCheck, Proof, account_of, judge
from payment_operator.resources.credentials import malformed

NOBODY: Final = "lean_payments_no_such_object"
_WITHOUT_LIST: Final = frozenset({"balance"})


class Sender(Protocol):
    """The way to Stripe."""

    async def send(self, key: str, method: str, url: str) -> Answer:
        """Send one request; what goes wrong is an answer of status 0."""
        ...


async def prove(
    stripe: Sender, key: str, *, spec: Environment, in_use: str, account: str, fingerprint: str, now: datetime
) -> KeyCheck:
    """Say whether the environment may use this key: of the account of the one in use, or of the remembered one."""
    reason, why = malformed(spec, key)
    if reason:
        return KeyCheck(fingerprint, "Refused", now, reason, why)
    proof, wanted = Proof(await whose(stripe, key, spec)), spec.stripe.account_id or ""
    if proof.opens:
        proof = Proof(
            proof.whose,
            await _send(stripe, key, spec, "GET", "balance"),
            await _permissions(stripe, key, spec),
            wanted=wanted,
            present=await whose(stripe, in_use, spec) if in_use and not wanted else None,
            remembered=account,
        )
    state, reason, why = judge(proof, live=spec.stripe.mode == "Live")
    return KeyCheck(fingerprint, state, now, reason, why, account_of(proof.whose))


async def whose(stripe: Sender, key: str, spec: Environment) -> Answer:
    """Ask whose a key is."""
    return await _send(stripe, key, spec, "GET", "account")


async def _send(stripe: Sender, key: str, spec: Environment, method: str, *segments: str, query: str = "") -> Answer:
    return await stripe.send(key, method, address(base_of(spec), *segments) + query)


async def _permissions(stripe: Sender, key: str, spec: Environment) -> dict[str, Answer]:
    own = MANAGING if spec.stripe.webhook.provider == "Managed" else ()
    wanted = tuple(dict.fromkeys([*spec.stripe.api_key.required_permissions, *own]))
    found = await asyncio.gather(*(_try(stripe, key, spec, permission) for permission in wanted))
    return dict(zip(wanted, found, strict=True))


async def _try(stripe: Sender, key: str, spec: Environment, permission: str) -> Answer:
    resource, _, access = permission.rpartition("_")
    collection = COLLECTIONS[resource].split("/")
    if access == "write":
        return await _send(stripe, key, spec, "POST", *collection, NOBODY)
    return await _send(stripe, key, spec, "GET", *collection, query="" if resource in _WITHOUT_LIST else "?limit=1")

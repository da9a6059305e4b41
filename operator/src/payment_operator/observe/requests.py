"""Reads what people ask of an environment."""

import logging
from typing import Final

from payment_operator import names
from payment_operator.clients.protocols import Kubernetes
from payment_operator.errors import ApiError, NotThere
from payment_operator.model import requests
from payment_operator.model.requests import Requests
from payment_operator.names import EnvironmentKey
from payment_operator.redaction import redact
from payment_operator.resources.metadata import Manifest
from payment_operator.resources.release_record import moment, readable

INSTALL: Final = "the kind EnvironmentRequest is not installed: kubectl apply --server-side -f chart/crds"
POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
SETTLES_SECONDS: Final = 30.0
log = logging.getLogger("payment_operator.observe.requests")


async def read_requests(cluster: Kubernetes, key: EnvironmentKey, *, policy: str = "") -> Requests:
    """What is asked of one environment, with what has been answered and is still kept.

    That they cannot be read is no reason to stop: it is said, and no release takes a step meanwhile.

    Raises:
        Unreachable: the API server does not answer.
    """
    try:
        found = [item for item in await _list(cluster, key[0]) if requests.environment_of(item) == key[1]]
    except NotThere:
        return Requests(unread=INSTALL, missing=True)
    except ApiError as error:
        return Requests(unread=redact(str(error)))
    since = await _vouches_since(cluster, policy) if policy and any(requests.read(item).open for item in found) else ""
    return Requests(tuple(requests.read(item, verified=_verified(item, since)) for item in found))


async def _list(cluster: Kubernetes, namespace: str) -> list[Manifest]:
    return await cluster.list_all(names.REQUEST_KIND, namespace)


async def _vouches_since(cluster: Kubernetes, policy: str) -> str:
    """Since when the admission policy lets nobody ask in another's name; empty: it does not."""
    try:
        found, binding = await cluster.get(POLICY, "", policy), await cluster.get(BINDING, "", policy)
    except ApiError as error:
        log.warning("nobody vouches for who asks: %s", error)
        return ""
    if found is None or binding is None or found["spec"].get("failurePolicy", "Fail") != "Fail":
        return ""
    bound = binding["spec"]
    if bound.get("policyName") != policy or "Deny" not in (bound.get("validationActions") or []):
        return ""
    return max(str(item["metadata"].get("creationTimestamp", "")) for item in (found, binding))


def _verified(item: Manifest, since: str) -> bool:
    """Whether it was made when the policy had been there for a while: one needs a moment to come into force."""
    made = item["metadata"].get("creationTimestamp", "")
    if not since or not readable(since) or not readable(made):
        return False
    return (moment(made) - moment(since)).total_seconds() > SETTLES_SECONDS

"""Answers what people ask of an environment where no pass can: there is none, or its spec cannot be read."""

import logging
from datetime import datetime

from payment_operator import names
from payment_operator.api.request import RequestStatus
from payment_operator.clients.protocols import Kubernetes
from payment_operator.errors import Conflict, NotThere
from payment_operator.model import requests
from payment_operator.model.requests import Asked
from payment_operator.names import EnvironmentKey
from payment_operator.observe.requests import read_requests
from payment_operator.redaction import redact
from payment_operator.resources.metadata import Manifest
from payment_operator.resources.release_record import stamp

log = logging.getLogger(__name__)


async def refuse(cluster: Kubernetes, key: EnvironmentKey, why: str, *, now: datetime) -> None:
    """Answer what is asked of an environment that does not exist, or whose spec cannot be read.

    Raises:
        OperatorError: an answer cannot be written.
    """
    for item in (await read_requests(cluster, key)).items:
        if item.open:
            status = RequestStatus(state="Refused", message=redact(why), by=item.by, at=stamp(now))
            tests: list[Manifest] = [{"op": "test", "path": "/metadata/resourceVersion", "value": item.version}]
            await _answer(cluster, key, item, requests.answered(item, status, tests=tests))


async def _answer(cluster: Kubernetes, key: EnvironmentKey, item: Asked, operations: list[Manifest]) -> None:
    try:
        await cluster.patch(names.REQUEST_KIND, key[0], item.name, operations, subresource="status")
    except (Conflict, NotThere) as error:
        log.info("read again: %s", error, extra={"environment": "/".join(key)})

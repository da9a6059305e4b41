"""Lines for people beside the environment."""

import logging
import uuid
from datetime import datetime

from payment_operator import names
from payment_operator.clients.protocols import Kubernetes
from payment_operator.errors import OperatorError
from payment_operator.model.actions import Event
from payment_operator.redaction import redact
from payment_operator.resources.metadata import Manifest
from payment_operator.resources.release_record import stamp

log = logging.getLogger("payment_operator.effects.events")


async def post_event(cluster: Kubernetes, environment: Manifest, event: Event, *, now: datetime) -> None:
    """Write a line for people beside the environment."""
    at = stamp(now)
    manifest = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{environment['name']}.{uuid.uuid4().hex[:16]}",
            "namespace": environment["namespace"],
        },
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": environment["name"],
            "namespace": environment["namespace"],
            "uid": environment["uid"],
        },
        "reason": event.reason,
        "message": redact(event.message)[:1000],
        "type": "Warning" if event.warning else "Normal",
        "source": {"component": names.MANAGER},
        "reportingComponent": names.MANAGER,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
    try:
        await cluster.create(manifest)
    except OperatorError as error:  # words, and no reason to stop
        log.warning("no event: %s", error)

"""Sends a person's request to the operator as an annotation, and waits for its answer in the status.

The patch names the version of the resource that was looked at, so a request never replaces another that the operator
has not read yet.
"""

import json
import time
import uuid
from typing import Any, Final

from payment_operator import names
from payment_operator.plugin.advice import OPERATOR_PODS
from payment_operator.plugin.complaints import RESOURCE
from payment_operator.plugin.errors import NoAnswer, PluginError, Refused
from payment_operator.plugin.kubectl import Kubectl, Object

_ATTEMPTS: Final = 5
_PAUSE_SECONDS: Final = 0.5
_CHANGED: Final = "the object has been modified"


def send(kubectl: Kubectl, environment: Object, *, verb: str, details: dict[str, Any], reason: str = "") -> str:
    """Write the request and return its id.

    Raises:
        Refused: another request waits to be read.
        PluginError: the user may not patch the environment, or it changed too often meanwhile.
    """
    request: dict[str, Any] = {"id": uuid.uuid4().hex[:12], "verb": verb} | details
    if reason:
        request["reason"] = reason
    text = json.dumps(request)
    for _ in range(_ATTEMPTS):
        metadata = environment["metadata"]
        if waiting := metadata.get("annotations", {}).get(names.ANNOTATION_REQUEST):
            raise Refused(f"another request waits for the operator: {waiting}", fix=_withdraw(environment))
        annotations = {names.ANNOTATION_REQUEST: text}
        change = {"metadata": {"resourceVersion": metadata["resourceVersion"], "annotations": annotations}}
        try:
            patch(kubectl, environment, change)
        except PluginError as error:
            if _CHANGED not in str(error):
                raise
            environment = fresh(kubectl, environment)
        else:
            return str(request["id"])
    raise PluginError("the environment changed each time the request was written", fix="try again")


def answer(kubectl: Kubectl, environment: Object, *, request: str, seconds: float) -> dict[str, Any]:
    """Return the operator's answer to the request.

    Raises:
        NoAnswer: it did not come in time; the request stays.
        Refused: the operator says no; the message is its own.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        operation: dict[str, Any] = fresh(kubectl, environment).get("status", {}).get("lastOperation") or {}
        if operation.get("id") == request:
            if operation["result"] == "Refused":
                raise Refused(f"the operator refused it: {operation.get('message', '')}".rstrip(": "))
            return operation
        time.sleep(_PAUSE_SECONDS)
    raise NoAnswer(
        f"the operator did not answer within {seconds:.0f} s; the request stays and is taken when it runs",
        fix=f"see whether it runs: {OPERATOR_PODS}\n{_withdraw(environment)}",
    )


def fresh(kubectl: Kubectl, environment: Object) -> Object:
    """Read the environment again."""
    metadata = environment["metadata"]
    return kubectl.get(RESOURCE, metadata["name"], f"--namespace={metadata['namespace']}")


def patch(kubectl: Kubectl, environment: Object, change: Object) -> None:
    """Merge a change into the environment.

    Raises:
        PluginError: the API server refuses it.
    """
    metadata = environment["metadata"]
    place = (metadata["name"], f"--namespace={metadata['namespace']}")
    kubectl.ask("patch", RESOURCE, *place, "--type=merge", f"--patch={json.dumps(change)}")


def _withdraw(environment: Object) -> str:
    metadata = environment["metadata"]
    place = f"{names.KIND.lower()}/{metadata['name']} -n {metadata['namespace']}"
    return f"withdraw it: kubectl annotate {place} {names.ANNOTATION_REQUEST}-"

"""Asks something of the operator: makes an EnvironmentRequest, and waits for the answer in its status."""

import json
import time
from typing import Any, Final

from payment_operator import names
from payment_operator.plugin.advice import OPERATOR_PODS
from payment_operator.plugin.complaints import REQUESTS, RESOURCE
from payment_operator.plugin.errors import NoAnswer, Refused
from payment_operator.plugin.kubectl import Kubectl, Object

_PAUSE_SECONDS: Final = 0.5
_LONGEST_NAME: Final = 256


def send(kubectl: Kubectl, environment: Object, *, verb: str, details: dict[str, Any], reason: str = "") -> str:
    """Make the request and return its name.

    Raises:
        NotPermitted: the user may not make requests.
        PluginError: the API server refuses it.
    """
    metadata = environment["metadata"]
    spec: dict[str, Any] = {"environment": metadata["name"], "verb": verb} | details
    spec |= {name: value for name, value in (("reason", reason), ("by", _user(kubectl))) if value}
    request = {
        "apiVersion": names.API_VERSION,
        "kind": names.REQUEST_KIND,
        "metadata": {
            "generateName": f"{metadata['name']}-{verb}-",
            "namespace": metadata["namespace"],
            "labels": {names.LABEL_ENVIRONMENT: metadata["name"]},
        },
        "spec": spec,
    }
    made = kubectl.checked("create", "--filename=-", "--output=jsonpath={.metadata.name}", stdin=json.dumps(request))
    return made.strip()


def _user(kubectl: Kubectl) -> str:
    """Who the API server takes the user for; empty when it does not say (a kubectl or server from before 1.28)."""
    done = kubectl.run("auth", "whoami", "--output=jsonpath={.status.userInfo.username}")
    return "" if done.code else done.out.strip()[:_LONGEST_NAME]


def answer(kubectl: Kubectl, environment: Object, *, request: str, seconds: float) -> dict[str, Any]:
    """Return the operator's answer to the request: its status, with its name and what was asked.

    Raises:
        NoAnswer: it did not come in time; the request stays.
        Refused: the operator says no; the message is its own.
    """
    deadline = time.monotonic() + seconds
    place = f"--namespace={environment['metadata']['namespace']}"
    while True:
        found = kubectl.get(REQUESTS, request, place)
        status: dict[str, Any] = found.get("status") or {}
        if status.get("state") == "Refused":
            raise Refused(f"the operator refused it: {status.get('message', '')}".rstrip(": "))
        if status.get("state") == "Done":
            return {"request": request, "verb": found["spec"]["verb"]} | status
        if time.monotonic() >= deadline:
            break
        time.sleep(_PAUSE_SECONDS)
    look = f"kubectl get ereq {request} -n {environment['metadata']['namespace']}"
    if status.get("state") == "Accepted":
        raise NoAnswer(f"the operator accepted it and has not done it after {seconds:.0f} s", fix=f"see: {look}")
    raise NoAnswer(
        f"the operator did not answer within {seconds:.0f} s; the request stays and is taken when it runs",
        fix=f"see whether it runs: {OPERATOR_PODS}\nsee the request: {look}\n"
        f"withdraw it: {look.replace('get', 'delete', 1)}",
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
    kubectl.checked("patch", RESOURCE, *place, "--type=merge", f"--patch={json.dumps(change)}")

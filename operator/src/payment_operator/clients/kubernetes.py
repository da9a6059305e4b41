"""The only module that talks to the API server: plain dicts over `kubernetes.aio`, with counted requests.

Its client is used below its generated models: those reject fields that a newer API server adds.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final, Self

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient, RequestSerialized
from kubernetes.aio.client.configuration import Configuration

from payment_operator import names
from payment_operator.errors import TOO_MANY, ApiError, Conflict, NotThere, Refused, Unreachable
from payment_operator.metrics import API_REQUESTS
from payment_operator.redaction import redact
from payment_operator.resources.metadata import Manifest

TIMEOUT: Final = aiohttp.ClientTimeout(total=20)
PAGE: Final = 500
PATHS: Final = {
    names.KIND: (f"/apis/{names.API_VERSION}", names.PLURAL),
    names.REQUEST_KIND: (f"/apis/{names.API_VERSION}", names.REQUEST_PLURAL),
    "Pod": ("/api/v1", "pods"),
    "Service": ("/api/v1", "services"),
    "Secret": ("/api/v1", "secrets"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Event": ("/api/v1", "events"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "ControllerRevision": ("/apis/apps/v1", "controllerrevisions"),
    "Job": ("/apis/batch/v1", "jobs"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices"),
    "ValidatingAdmissionPolicy": ("/apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicies"),
    "ValidatingAdmissionPolicyBinding": (
        "/apis/admissionregistration.k8s.io/v1",
        "validatingadmissionpolicybindings",
    ),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
}
_FORMS: Final = {
    "apply": "application/apply-patch+yaml",
    "patch": "application/json-patch+json",
    "create": "application/yaml",
}
UNPROCESSABLE: Final = 422
ATTEMPTS: Final = 6
"""At a request that an overloaded API server asks to send again, as Go's clients do: a pass makes dozens of them."""
LONGEST_PAUSE_SECONDS: Final = 5.0
NOT_AS_READ: Final = "the server rejected our request due to an error in our request"
"""All that the API server says of a JSON patch whose test fails."""
OTHER_UID: Final = "metadata.uid: Invalid value"
"""What it says when an applied or patched object has another uid than the one that is stored."""
MESSAGE_LIMIT: Final = 500
_ERRORS: Final[dict[int, type[ApiError]]] = {404: NotThere, 409: Conflict} | dict.fromkeys(
    (400, 403, 413, 422), Refused
)
Query = Sequence[tuple[str, str]]


class Cluster:
    """A connection to the API server."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    @classmethod
    async def connect(cls, kubeconfig: str = "") -> Self:
        """Connect with a kubeconfig, or with the pod's ServiceAccount."""
        configuration = Configuration()
        if kubeconfig:
            load = config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)  # type: ignore[no-untyped-call]
            await load
        else:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        configuration.connection_pool_maxsize = 32
        # as Go's clients: authorities of many clusters lack extensions that Python 3.13 asks for (RFC 5280)
        configuration.disable_strict_ssl_verification = True
        return cls(ApiClient(configuration))

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def list_all(
        self, kind: str, namespace: str | None, *, selector: str = "", fields: str = ""
    ) -> list[Manifest]:
        """All objects of a kind, in a namespace or everywhere, as the store has them now."""
        found: list[Manifest] = []
        selectors = {"labelSelector": selector, "fieldSelector": fields}
        query = [("limit", str(PAGE)), *((name, value) for name, value in selectors.items() if value)]
        token = ""
        while True:
            paged = [*query, ("continue", token)] if token else query
            page = await self._call("GET", kind, namespace, query=paged)
            version = {"apiVersion": page.get("apiVersion", ""), "kind": kind}  # which the items of a list lack
            found += [version | item for item in page.get("items") or []]
            token = (page.get("metadata") or {}).get("continue", "")
            if not token:
                return found

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """One object, None when it does not exist."""
        try:
            return await self._call("GET", kind, namespace, name)
        except NotThere:
            return None

    async def apply(self, manifest: Manifest, *, force: bool = True) -> Manifest:
        """Server-side apply under the operator's field manager.

        Raises:
            Conflict: without `force`, fields are somebody else's.
        """
        metadata = manifest["metadata"]
        query = [("fieldManager", names.MANAGER), ("force", "true" if force else "false")]
        return await self._call(
            "PATCH",
            manifest["kind"],
            metadata.get("namespace"),
            metadata["name"],
            body=manifest,
            form="apply",
            query=query,
        )

    async def create(self, manifest: Manifest) -> Manifest:
        """Make an object.

        Raises:
            Conflict: it exists.
        """
        query = [("fieldManager", names.MANAGER)]
        # sent as YAML, the API server stores the data of a ControllerRevision in its own form: in ours, a later patch
        # of the annotations would count as a change of the data, which is immutable
        namespace, body = manifest["metadata"]["namespace"], json.dumps(manifest)
        return await self._call("POST", manifest["kind"], namespace, body=body, form="create", query=query)

    async def replace(self, manifest: Manifest) -> Manifest:
        """Write a whole object over the version that was read."""
        metadata = manifest["metadata"]
        return await self._call("PUT", manifest["kind"], metadata["namespace"], metadata["name"], body=manifest)

    async def patch(
        self, kind: str, namespace: str, name: str, operations: Sequence[Manifest], *, subresource: str = ""
    ) -> Manifest:
        """JSON patch.

        Raises:
            Conflict: a test failed, or a place that it names is gone.
        """
        query = [("fieldManager", names.MANAGER)]
        where = f"{name}/{subresource}" if subresource else name
        try:
            return await self._call("PATCH", kind, namespace, where, body=list(operations), form="patch", query=query)
        except Refused as error:
            if error.status == UNPROCESSABLE and NOT_AS_READ in error.message:
                raise Conflict(error.status, error.reason, error.message) from error
            raise

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str) -> None:
        """Delete that very object; its dependents follow. One that does not exist is deleted already."""
        options = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            await self._call("DELETE", kind, namespace, name, body=options)
        except NotThere:
            return

    async def log(self, namespace: str, pod: str) -> str:
        """The first lines that a Job's pod has written; the API server refuses to choose among containers."""
        query = [("container", names.JOB), ("limitBytes", "4096")]
        content = await self._send("GET", "Pod", namespace, f"{pod}/log", query=query)
        return content.decode(errors="replace")

    async def _call(
        self,
        method: str,
        kind: str,
        namespace: str | None,
        name: str = "",
        *,
        body: Any = None,
        form: str = "",
        query: Query = (),
    ) -> Manifest:
        return dict(json.loads(await self._send(method, kind, namespace, name, body=body, form=form, query=query)))

    async def _send(
        self,
        method: str,
        kind: str,
        namespace: str | None,
        name: str = "",
        *,
        body: Any = None,
        form: str = "",
        query: Query = (),
    ) -> bytes:
        prefix, plural = PATHS[kind]
        path = prefix + (f"/namespaces/{namespace}" if namespace else "") + f"/{plural}" + (f"/{name}" if name else "")
        headers = {"Accept": "application/json, */*", "Content-Type": _FORMS.get(form, "application/json")}
        request = await self._client.param_serialize(
            method, path, query_params=list(query), header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        for left in reversed(range(ATTEMPTS)):
            status, content, pause = await self._once(request, method, kind)
            if pause is None or not left:
                break
            await asyncio.sleep(pause)
        if status >= 300:  # noqa: PLR2004 - HTTP
            raise _error(status, content)
        return content

    async def _once(self, request: RequestSerialized, method: str, kind: str) -> tuple[int, bytes, float | None]:
        """Status, content, and after how many seconds an API server that was too busy wants to be asked again."""
        try:
            response = await self._client.call_api(*request, _request_timeout=TIMEOUT)
            content: bytes = await response.read()  # type: ignore[no-untyped-call]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            API_REQUESTS.labels(method, kind, "unreachable").inc()
            raise Unreachable(f"{method} {kind}: {type(error).__name__}") from error
        API_REQUESTS.labels(method, kind, str(response.status)).inc()
        again = response.getheader("Retry-After", "") if response.status == TOO_MANY else ""  # type: ignore[no-untyped-call]
        pause = min(float(again), LONGEST_PAUSE_SECONDS) if again.isascii() and again.isdigit() else None
        return response.status, content, pause


def _error(status: int, content: bytes) -> ApiError:
    try:
        answer = json.loads(content)
        reason, message = str(answer.get("reason", "")), str(answer.get("message", ""))
    except (ValueError, AttributeError):
        reason, message = "", content[:MESSAGE_LIMIT].decode(errors="replace")
    kind = Conflict if status == UNPROCESSABLE and OTHER_UID in message else _ERRORS.get(status, ApiError)
    return kind(status, reason, _shortened(redact(message)))


def _shortened(text: str) -> str:
    """Without its middle when it is long: it begins with the field, and after the whole value says what is wrong."""
    if len(text) <= MESSAGE_LIMIT:
        return text
    return f"{text[: MESSAGE_LIMIT // 2]} … {text[3 - MESSAGE_LIMIT // 2 :]}"

"""Talks to the pods: drain, claim, status, metrics, health. A pod that does not answer is no error of the operator."""

from typing import Any, Final

import aiohttp

from payment_operator.model.observed import Probe
from payment_operator.model.pod import Pod
from payment_operator.resources.pods import ADMIN_PORT, HTTP_PORT

TIMEOUT: Final = aiohttp.ClientTimeout(total=3)
TRIED: Final = "/api/v1/customers?limit=1"
"""A route that needs the scope `read`."""
FAULTS: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError)


class Admin:
    """The pods' admin ports."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # pods come and go: an address may belong to another pod a moment later, so nothing is kept open
            self._session = aiohttp.ClientSession(
                timeout=TIMEOUT, connector=aiohttp.TCPConnector(force_close=True), trust_env=False
            )
        return self._session

    async def put(self, pod: Pod, path: str, body: dict[str, bool], *, token: str) -> bool:
        """Send a command; tell whether the pod has taken it."""
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with self._open().put(_url(pod, ADMIN_PORT, path), json=body, headers=headers) as answer:
                return answer.status == 200  # noqa: PLR2004 - HTTP
        except FAULTS:
            return False

    async def metrics(self, pod: Pod) -> str | None:
        """The pod's metrics, None when it does not answer."""
        try:
            async with self._open().get(_url(pod, ADMIN_PORT, "/metrics")) as answer:
                return await answer.text() if answer.status == 200 else None  # noqa: PLR2004 - HTTP
        except FAULTS:
            return None

    async def try_key(self, pod: Pod, key: str) -> int:
        """The status that the API answers a caller with this key; 0 when it does not answer."""
        headers = {"Authorization": f"Bearer {key}"}
        try:
            async with self._open().get(_url(pod, HTTP_PORT, TRIED), headers=headers, allow_redirects=False) as answer:
                return answer.status
        except FAULTS:
            return 0

    async def probe(self, pod: Pod, *, token: str) -> Probe:
        """Whether the pod works with the database's schema, and whether Stripe takes its key."""
        status = await self.status(pod, token=token)
        checks = _object(await self._json(_url(pod, HTTP_PORT, "/health"), token), "checks")
        schema = _object(status, "schema")
        known = schema.get("database") is not None
        return Probe(
            schema_supported=bool(schema.get("supported")) if known else None,
            stripe=checks.get("stripe"),
            database=checks.get("database"),
        )

    async def status(self, pod: Pod, *, token: str) -> dict[str, Any]:
        """What the pod says of itself; empty when it does not answer."""
        return await self._json(_url(pod, ADMIN_PORT, "/status"), token)

    async def _json(self, url: str, token: str) -> dict[str, Any]:
        try:
            async with self._open().get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
                return dict(await answer.json(content_type=None))
        except (*FAULTS, TypeError):
            return {}


def _object(answer: dict[str, Any], name: str) -> dict[str, Any]:
    found = answer.get(name)
    return found if isinstance(found, dict) else {}


def _url(pod: Pod, port: int, path: str) -> str:
    host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
    return f"http://{host}:{port}{path}"

"""Whom one pass talks to, as interfaces: the API server, the pods, Stripe, the database's roles.

The real ones stand beside this module; `payment_operator.testing` has others that keep everything in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from payment_operator.clients.stripe_http import Form
from payment_operator.model.observed import Probe
from payment_operator.model.pod import Pod
from payment_operator.resources.metadata import Manifest


class Kubernetes(Protocol):
    """The API server."""

    async def list_all(
        self, kind: str, namespace: str | None, *, selector: str = "", fields: str = ""
    ) -> list[Manifest]:
        """All objects of a kind, in a namespace or everywhere, as the store has them now."""
        ...

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """One object, None when it does not exist."""
        ...

    async def apply(self, manifest: Manifest, *, force: bool = True) -> Manifest:
        """Server-side apply under the operator's field manager.

        Raises:
            Conflict: without `force`, fields are somebody else's; or it is not the object that the manifest names.
        """
        ...

    async def create(self, manifest: Manifest) -> Manifest:
        """Make an object.

        Raises:
            Conflict: it exists.
        """
        ...

    async def replace(self, manifest: Manifest) -> Manifest:
        """Write a whole object over the version that was read.

        Raises:
            Conflict: it has been changed since.
        """
        ...

    async def patch(
        self, kind: str, namespace: str, name: str, operations: Sequence[Manifest], *, subresource: str = ""
    ) -> Manifest:
        """JSON patch.

        Raises:
            Conflict: a test failed, or a place that it names is gone.
        """
        ...

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str) -> None:
        """Delete that very object; its dependents follow. One that does not exist is deleted already."""
        ...

    async def log(self, namespace: str, pod: str) -> str:
        """The first lines that a Job's pod has written."""
        ...


class PodAdmin(Protocol):
    """The pods. One that does not answer is no error of the operator."""

    async def put(self, pod: Pod, path: str, body: dict[str, bool], *, token: str) -> bool:
        """Send a command; tell whether the pod has taken it."""
        ...

    async def metrics(self, pod: Pod) -> str | None:
        """The pod's metrics, None when it does not answer."""
        ...

    async def try_key(self, pod: Pod, key: str) -> int:
        """The status that the API answers a caller with this key; 0 when it does not answer."""
        ...

    async def probe(self, pod: Pod, *, token: str) -> Probe:
        """Whether the pod works with the database's schema, and whether Stripe takes its key."""
        ...

    async def status(self, pod: Pod, *, token: str) -> dict[str, Any]:
        """What the pod says of itself; empty when it does not answer."""
        ...


class Stripe(Protocol):
    """Stripe's API."""

    async def request(
        self,
        key: str,
        method: str,
        url: str,
        *,
        seconds: float,
        form: Form | None = None,
        query: Form | None = None,
        idempotency_key: str = "",
    ) -> tuple[int, Any]:
        """Send one request; return the status and the JSON.

        Raises:
            FAULTS: no answer within `seconds`, or none in JSON.
        """
        ...


class DatabaseRoles(Protocol):
    """The roles that the application logs in to its database with."""

    async def prepare_role(self, *, admin_url: str, url: str, group: str, authority: str = "") -> None:
        """Let the role of `url` log in with its password and with the rights of `group`, and prove that it does.

        Raises:
            DatabaseFault: it does not.
        """
        ...

    async def lock_role(self, *, admin_url: str, role: str, authority: str = "") -> bool:
        """Let the role log in no more and end its sessions; tell whether it was locked.

        Raises:
            DatabaseFault: the database refuses it.
        """
        ...


@dataclass(frozen=True)
class Clients:
    """All of them."""

    kubernetes: Kubernetes
    pods: PodAdmin
    stripe: Stripe
    roles: DatabaseRoles

"""Kopf's part: watches that feed the work queue. No handler keeps state on objects, so nothing has a finalizer."""

import ssl
from collections.abc import Callable, Collection
from dataclasses import fields
from typing import Any, Final, Self

import kopf

from payment_operator import names
from payment_operator.queue import Key
from payment_operator.resources.metadata import Manifest

OWNED: Final = (
    ("", "v1", "services"),
    ("", "v1", "secrets"),
    ("", "v1", "configmaps"),
    ("", "v1", "pods"),
    ("apps", "v1", "deployments"),
    ("apps", "v1", "controllerrevisions"),
    ("batch", "v1", "jobs"),
    ("policy", "v1", "poddisruptionbudgets"),
    ("autoscaling", "v2", "horizontalpodautoscalers"),
)
Changed = Callable[[Key], None]
Deleted = Callable[[Manifest], None]
Seen = Callable[[Key, str], None]
Registry = kopf.OperatorRegistry


class Connection(kopf.ConnectionInfo):
    """Verifies as Go's clients do: many authorities lack extensions that Python 3.13 asks for (RFC 5280)."""

    @classmethod
    def like(cls, other: kopf.ConnectionInfo | None) -> Self | None:
        """The same connection, verified so."""
        return cls(**{field.name: getattr(other, field.name) for field in fields(other)}) if other else None

    def as_ssl_context(self) -> ssl.SSLContext:
        """Kopf's context, less the strictness."""
        context = super().as_ssl_context()
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


def registry(*, changed: Changed, deleted: Deleted, seen: Seen, kubeconfig: str) -> kopf.OperatorRegistry:
    """The handlers: an event of an environment or of an object labelled as one's asks for a pass.

    They are coroutines for a reason: Kopf runs plain functions in threads, where the queue must not be touched.
    """
    handlers = kopf.OperatorRegistry()

    async def environment_event(*, body: kopf.Body, namespace: str | None, name: str | None, **given: Any) -> None:
        if given["type"] == "DELETED":
            deleted(dict(body.metadata))
        key = (namespace or "", name or "")
        seen(key, body.metadata["resourceVersion"])
        changed(key)

    async def owned_event(*, labels: kopf.Labels, namespace: str | None, **_: Any) -> None:
        changed((namespace or "", labels[names.LABEL_ENVIRONMENT]))

    def login(**arguments: Any) -> kopf.ConnectionInfo | None:
        log_in = kopf.login_with_kubeconfig if kubeconfig else kopf.login_with_service_account
        return Connection.like(log_in(**arguments))

    kopf.on.login(registry=handlers)(login)
    kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=handlers)(environment_event)
    present: dict[str, Any] = {names.LABEL_ENVIRONMENT: kopf.PRESENT, names.LABEL_MANAGED_BY: names.MANAGER}
    for group, version, plural in OWNED:
        kopf.on.event(group, version, plural, registry=handlers, labels=present)(owned_event)
    return handlers


def settings() -> kopf.OperatorSettings:
    """Kopf's settings: watches that notice when they went silent, nothing posted, no namespaces or CRDs scanned."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.scanning.disabled = True
    chosen.watching.server_timeout = 240
    chosen.watching.client_timeout = 300
    chosen.watching.connect_timeout = 10
    for where in OWNED:
        chosen.watching.label_selectors[where] = f"{names.LABEL_MANAGED_BY}={names.MANAGER}"
    return chosen


async def watch(handlers: kopf.OperatorRegistry, *, namespaces: Collection[str]) -> None:
    """Watch until cancelled."""
    await kopf.operator(
        registry=handlers,
        settings=settings(),
        standalone=True,
        identity=names.MANAGER,  # type: ignore[arg-type] # its type is private; left out, Kopf asks for a user's name
        clusterwide=not namespaces,
        namespaces=list(namespaces),
    )

"""Kopf's part: watches that feed the work queue. No handler keeps state on objects, so nothing has a finalizer."""

import asyncio
import itertools
import ssl
from collections.abc import Callable, Collection, Iterator
from dataclasses import fields
from types import SimpleNamespace
from typing import Any, Final, Self

import aiohttp
import kopf

from payment_operator import names
from payment_operator.model.requests import environment_of
from payment_operator.names import EnvironmentKey
from payment_operator.resources.metadata import Manifest
from payment_operator.runtime.pulse import Pace, Pulse

ENVIRONMENTS: Final = (names.GROUP, names.VERSION, names.PLURAL)
REQUESTS: Final = (names.GROUP, names.VERSION, names.REQUEST_PLURAL)
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
NEVER: Final = 1e9
Changed = Callable[[EnvironmentKey], None]
Deleted = Callable[[Manifest], None]
Seen = Callable[[EnvironmentKey, str], None]
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


def paths(namespaces: Collection[str]) -> list[str]:
    """The addresses of all watches."""
    return [path for kind in (ENVIRONMENTS, REQUESTS, *OWNED) for path in _paths_of(kind, namespaces)]


def optional_paths(namespaces: Collection[str]) -> list[str]:
    """Those that must live only once they have lived.

    An upgrade may have left out the kind of requests: `Failing` says so with the way out, and a restart mends nothing.
    """
    return _paths_of(REQUESTS, namespaces)


def _paths_of(kind: tuple[str, str, str], namespaces: Collection[str]) -> list[str]:
    group, version, plural = kind
    return [
        (f"/apis/{group}" if group else "/api") + f"/{version}" + where + f"/{plural}"
        for where in ([f"/namespaces/{namespace}" for namespace in namespaces] or [""])
    ]


def _session(connection: kopf.ConnectionInfo, pulse: Pulse) -> kopf.AiohttpSession:
    """A session as Kopf's own, whose requests are seen by the pulse."""
    return kopf.AiohttpSession(
        server=connection.server,
        default_namespace=connection.default_namespace,
        aiohttp_session=aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=connection.as_ssl_context()),
            headers=connection.as_http_headers(),
            proxy=connection.proxy_url,
            trust_env=connection.trust_env,
            trace_configs=[_trace(pulse)],
        ),
    )


def _trace(pulse: Pulse) -> aiohttp.TraceConfig:
    async def start(session: aiohttp.ClientSession, _: SimpleNamespace, given: aiohttp.TraceRequestStartParams) -> None:
        path = pulse.path(given.url.path)
        if path is not None and "watch" in given.url.query:
            await asyncio.sleep(pulse.request(path))
            if session.closed:  # meanwhile: a new login ends the old one's requests
                raise aiohttp.ClientConnectionError("the session was closed")

    async def end(_: object, __: SimpleNamespace, given: aiohttp.TraceRequestEndParams) -> None:
        path, answer = pulse.path(given.url.path), given.response
        if path is not None and ("watch" in given.url.query or not answer.ok):
            pulse.answered(path, status=answer.status, kind=answer.content_type)

    async def failed(_: object, __: SimpleNamespace, given: aiohttp.TraceRequestExceptionParams) -> None:
        path = pulse.path(given.url.path)
        if path is not None:
            pulse.failed(path, f"{type(given.exception).__name__}: {given.exception}")

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(start)
    trace.on_request_end.append(end)
    trace.on_request_exception.append(failed)
    return trace


def registry(*, changed: Changed, deleted: Deleted, seen: Seen, pulse: Pulse, kubeconfig: str) -> Registry:
    """The handlers: an event of an environment, of a request or of an object labelled as one's asks for a pass.

    They are coroutines for a reason: Kopf runs plain functions in threads, where the queue must not be touched.
    """
    handlers = kopf.OperatorRegistry()

    async def environment_event(*, body: kopf.Body, namespace: str | None, name: str | None, **given: Any) -> None:
        if given["type"] == "DELETED":
            deleted(dict(body.metadata))
        key = (namespace or "", name or "")
        seen(key, body.metadata["resourceVersion"])
        changed(key)

    async def request_event(*, body: kopf.Body, namespace: str | None, **_: Any) -> None:
        if environment := environment_of(dict(body)):
            changed((namespace or "", environment))

    async def owned_event(*, labels: kopf.Labels, namespace: str | None, **_: Any) -> None:
        changed((namespace or "", labels[names.LABEL_ENVIRONMENT]))

    async def login(**arguments: Any) -> kopf.AiohttpSession | None:
        log_in = kopf.login_with_kubeconfig if kubeconfig else kopf.login_with_service_account
        connection = Connection.like(log_in(**arguments))
        return _session(connection, pulse) if connection is not None else None

    kopf.on.login(registry=handlers)(login)
    kopf.on.event(*ENVIRONMENTS, registry=handlers)(environment_event)
    kopf.on.event(*REQUESTS, registry=handlers)(request_event)
    present: dict[str, Any] = {names.LABEL_ENVIRONMENT: kopf.PRESENT, names.LABEL_MANAGED_BY: names.MANAGER}
    for group, version, plural in OWNED:
        kopf.on.event(group, version, plural, registry=handlers, labels=present)(owned_event)
    return handlers


class _Attempts:
    """Pauses between attempts that are refused; Kopf, which gives up after the last one, finds no last one."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    def __iter__(self) -> Iterator[float]:
        doubled = itertools.accumulate(itertools.repeat(2.0), lambda pause, by: pause * by, initial=self._pace.rest)
        growing = itertools.takewhile(lambda pause: pause < self._pace.longest_rest, doubled)
        return itertools.chain(growing, itertools.repeat(self._pace.longest_rest))


def settings(pace: Pace) -> kopf.OperatorSettings:
    """Kopf's settings: no request without a short time-out, nothing posted, no namespaces or CRDs scanned."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.scanning.disabled = True
    chosen.process.ultimate_exiting_timeout = None  # it would kill the thread, and with it the process
    chosen.watching.server_timeout = pace.renew
    chosen.watching.client_timeout = pace.silent
    chosen.watching.inactivity_timeout = NEVER  # where two time-outs end one request, Kopf's task ends without a word
    chosen.watching.connect_timeout = chosen.networking.connect_timeout = pace.connect
    chosen.networking.request_timeout = pace.silent
    chosen.networking.error_backoffs = _Attempts(pace)
    for where in OWNED:
        chosen.watching.label_selectors[where] = f"{names.LABEL_MANAGED_BY}={names.MANAGER}"
    return chosen


async def watch(handlers: Registry, *, namespaces: Collection[str], pace: Pace, stop: asyncio.Event) -> None:
    """Watch until told to stop, or until Kopf has come to what it cannot read; its tasks are left to the caller."""
    tasks = await kopf.spawn_tasks(
        registry=handlers,
        settings=settings(pace),
        standalone=True,
        identity=names.MANAGER,  # type: ignore[arg-type] # its type is private; left out, Kopf asks for a user's name
        clusterwide=not namespaces,
        namespaces=list(namespaces),
        stop_flag=stop,
    )
    ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in ended:
        task.result()

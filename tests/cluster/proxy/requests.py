"""What the proxy knows of a request: which writes count, what is a watch, which answers may be replayed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

When = Literal["before", "after"]
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# POSTs that ask the API server and store nothing.
_QUESTIONS = ("authentication.k8s.io", "authorization.k8s.io")


@dataclass(frozen=True)
class Write:
    """One mutating request, in the order in which the API server got them."""

    number: int
    """From 1 since the proxy started."""
    method: str
    path: str
    status: int | None
    """The API server's answer; None when the request was cut before it was forwarded."""

    @property
    def resource(self) -> str:
        """The plural name, such as `services`, with its subresource if it names one."""
        parts = _parts(self.path)
        return "/".join([parts[0], *parts[2:]])


def _parts(path: str) -> list[str]:
    """Return resource, name and subresource of a path, as far as it has them."""
    rest = path.strip("/").split("/")
    rest = rest[2:] if rest[0] == "api" else rest[3:]
    if rest[:1] == ["namespaces"] and len(rest) > 2 and rest[2] not in {"status", "finalize"}:
        rest = rest[2:]
    return rest or [""]


def resource(path: str) -> str:
    """Return the plural name of the path's resource: `pods` of /api/v1/namespaces/x/pods/y/log."""
    return _parts(path)[0]


def group(path: str) -> str:
    """Return the API group of the path, empty for the core group."""
    parts = path.strip("/").split("/")
    return parts[1] if parts[0] == "apis" and len(parts) > 1 else ""


def counts(method: str, path: str, query: Mapping[str, str], *, ignored: frozenset[str]) -> bool:
    """Tell whether a request is one of the counted writes: not ignored, not a dry run, not a question by POST."""
    if method not in WRITES or "dryRun" in query:
        return False
    return resource(path) not in ignored and group(path) not in _QUESTIONS


def streams(query: Mapping[str, str]) -> bool:
    """Tell whether the answer has no end of its own: a watch, or a log that is followed."""
    return any(query.get(name) in {"true", "1"} for name in ("watch", "follow"))

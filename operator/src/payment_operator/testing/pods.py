"""Pods in memory, as docs/contracts.md has their admin port: who takes a command, what they say of themselves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from payment_operator import names
from payment_operator.model.observed import Probe
from payment_operator.model.pod import Pod

COMMANDS: Final = {"/drain": ("drain", names.API), "/worker": ("claim", names.WORKER)}
"""The paths of commands: the one field of the body, and whose pods take it."""
OK: Final = 200


def _no_metrics(_: Pod) -> str | None:
    return None


def _accepted(_: Pod) -> int:
    return OK


def _nothing(_: Pod) -> Any:
    return {}


def _unknown(_: Pod) -> Probe:
    return Probe()


@dataclass
class InMemoryPods:
    """The admin ports of all pods; what one says is a function of the pod. One that does not run answers nothing."""

    takes: bool = True
    """Whether commands reach the pods."""
    text: Callable[[Pod], str | None] = _no_metrics
    """GET /metrics."""
    accepts: Callable[[Pod], int] = _accepted
    """The status of the API's answer to the probe key."""
    says: Callable[[Pod], dict[str, Any]] = _nothing
    """GET /status."""
    probed: Callable[[Pod], Probe] = _unknown
    token: Callable[[Pod], str] | None = None
    """The token that a pod wants; None: it is not compared."""
    taken: dict[tuple[str, str], bool] = field(default_factory=dict)
    """The last command that a pod has taken, by uid and path."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Who was asked for what."""

    async def put(self, pod: Pod, path: str, body: dict[str, bool], *, token: str) -> bool:
        """Take a command: with the right token, on a path and with a body that this pod knows."""
        wanted, component = COMMANDS.get(path, ("", ""))
        well_formed = list(body) == [wanted] and isinstance(body[wanted], bool) and pod.component == component
        if not well_formed or not self.takes or not self._lets_in(pod, token):
            return False
        self.taken[pod.uid, path] = body[wanted]
        return True

    async def metrics(self, pod: Pod) -> str | None:
        """The pod's metrics; they need no token."""
        self.asked.append((pod.name, "/metrics"))
        return self.text(pod) if _answers(pod) else None

    async def try_key(self, pod: Pod, key: str) -> int:
        """The status that the API answers a caller with this key."""
        return self.accepts(pod) if key and _answers(pod) else 0

    async def probe(self, pod: Pod, *, token: str) -> Probe:
        """What the pod knows of its database and Stripe."""
        return self.probed(pod) if self._lets_in(pod, token) else Probe()

    async def status(self, pod: Pod, *, token: str) -> dict[str, Any]:
        """What the pod says of itself."""
        self.asked.append((pod.name, "/status"))
        return dict(self.says(pod)) if self._lets_in(pod, token) else {}

    def _lets_in(self, pod: Pod, token: str) -> bool:
        return _answers(pod) and (self.token is None or (token != "" and token == self.token(pod)))


def _answers(pod: Pod) -> bool:
    return pod.running and pod.ip != "" and not pod.finished

"""The cluster in memory with webhook endpoints at an account in memory, and pods that read their files late."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from tests.unit.operator.turns import Turns
from tests.unit.operator.world import OWNER, Lost, World
from tests.unit.operator.world_objects import is_ready
from tests.unit.operator.world_operator import Violated

from payment_operator import names
from payment_operator.backoff import Fault
from payment_operator.decide.rotation.webhook import secrets as webhook_secrets
from payment_operator.decide.rotation.webhook import state as webhook_state
from payment_operator.decide.rotation.webhook import steps
from payment_operator.decide.rotation.webhook.endpoints import ENVIRONMENT
from payment_operator.errors import Conflict
from payment_operator.model.actions import Decision, key_of
from payment_operator.model.webhook import Endpoint, PodReport, WebhookSight
from payment_operator.resources.credentials import WEBHOOK, held
from payment_operator.testing import InMemoryStripe

if TYPE_CHECKING:
    from collections.abc import Callable

    from payment_operator.clients.stripe_endpoints import StripeFault
    from payment_operator.model.observed import ClusterState

HOT = ("Secret", names.webhook_secrets(OWNER.name))
URL = "https://shop.example/api/v1/webhooks/stripe"
MANAGED = {
    "provider": "Managed",
    "url": URL,
    "rotation": {"intervalSeconds": 86_400, "overlapSeconds": 600, "maxOverlapSeconds": 3600},
}


class Stripe(InMemoryStripe):
    """An account's webhook endpoints, at whose changes the operator may die."""

    def __init__(self, world: WebhookWorld) -> None:
        super().__init__(now=world.clock)
        self.world = world
        self.hides_secret = False
        """Whether a creation that is repeated tells no secret."""
        self.fault: StripeFault | None = None
        self.faulty = frozenset({"create", "update", "delete"})
        """What the fault is of."""
        self.created = 0

    async def request(self, key: str, method: str, url: str, **more: Any) -> tuple[int, Any]:
        if method == "GET":
            return await super().request(key, method, url, **more)
        assert key
        kind = "delete" if method == "DELETE" else "create" if url.endswith("/webhook_endpoints") else "update"
        again = more.get("idempotency_key", "")
        if self.fault is not None and kind in self.faulty:
            self.idempotency_keys += [again] if again else []
            if not self.fault.status:
                raise TimeoutError
            why = str(self.fault).removeprefix(f"Stripe: {self.fault.status}").strip()
            return self.fault.status, {"error": {"message": why}}
        before, repeated, there = self.sending(), again in self._answers, len(self.endpoints)
        with self.world.mortal():
            status, body = await super().request(key, method, url, **more)
        self.created += len(self.endpoints) > there
        if before and self.world.spec["stripe"]["webhook"].get("provider") == "Managed":
            self.world.silenced |= not self.sending()
        self.world.look_on()
        return status, body | {"secret": ""} if repeated and self.hides_secret else body

    def sending(self) -> list[Endpoint]:
        """Endpoints that get real events now."""
        return [item for item in self.endpoints.values() if item.enabled and item.events != steps.QUIET]


class Mortal:
    """The operator may die before or after the one act inside."""

    def __init__(self, world: WebhookWorld) -> None:
        self.world = world

    def __enter__(self) -> None:
        self.world.acts += 1
        if (self.world.acts, "before") in self.world.deaths:
            raise Lost

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and (self.world.acts, "after") in self.world.deaths:
            raise Lost


@dataclass
class WebhookWorld(World):
    stripe: Stripe = field(init=False)
    files: dict[str, tuple[str, ...]] = field(default_factory=dict)
    verified: dict[str, set[str]] = field(default_factory=dict)
    deaths: set[tuple[int, str]] = field(default_factory=set)
    acts: int = 0
    undelivered: tuple[str, ...] = ()
    unread: str = ""
    """Why the undelivered events cannot be listed."""
    lists: bool = True
    """Whether Stripe lists the endpoints."""
    api_versions: dict[str, str] = field(default_factory=dict)
    traffic: bool = True
    late: set[str] = field(default_factory=set)
    """Pods that do not read their files anew."""
    seen_states: list[str] = field(default_factory=list)
    told_people: list[tuple[str, str]] = field(default_factory=list)
    silenced: bool = False
    """Whether the operator has taken the last endpoint that sent while it was to keep one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.stripe = self.stripe_api = Stripe(self)

    def mortal(self) -> Mortal:
        return Mortal(self)

    def webhook_sight(self, observed: ClusterState) -> WebhookSight:
        pods = webhook_state.reporting(observed)
        reports: dict[str, PodReport | None] = {pod.uid: self._report(observed, pod.name) for pod in pods}
        mine = tuple(e for e in self.stripe.endpoints.values() if e.metadata.get(ENVIRONMENT) == OWNER.uid)
        return WebhookSight(
            reports,
            mine if self.lists else None,
            None if self.unread else self.undelivered,
            self.unread,
            self.calls.fault,
            None if self.lists else Fault("Stripe: 403 no permission to list", self.now + timedelta(seconds=2)),
            "0" * 32,
        )

    def _report(self, seen: ClusterState, name: str) -> PodReport:
        accepted = frozenset(webhook_secrets.fingerprint_of(seen, value) for value in self.files.get(name, ()))
        verified = frozenset(webhook_secrets.fingerprint_of(seen, value) for value in self.verified.get(name, ()))
        image = next(
            revision.image
            for revision in seen.revisions.values()
            if revision.digest == self.pods[name]["metadata"]["labels"][names.LABEL_REVISION]
        )
        return PodReport(accepted, verified, self.api_versions.get(image, steps.API_VERSION))

    def around(self, manifest: dict[str, Any]) -> AbstractContextManager[object]:
        return self.mortal() if key_of(manifest) == HOT else super().around(manifest)

    def operate(self, **arguments: Any) -> Decision:
        decision = super().operate(**arguments)
        self.told_people += [(event.reason, event.message) for event in decision.events]
        state = ((self.status.get("rotation") or {}).get("webhook") or {}).get("state", "")
        if state and [state] != self.seen_states[-1:]:
            self.seen_states.append(state)
        return decision

    def secrets(self) -> tuple[str, ...]:
        """What the hot Secret holds, as pods read it."""
        text = held(self.objects.get(HOT)).get(WEBHOOK, "")
        return tuple(part.strip() for part in text.split(",") if part.strip())

    def progress(self) -> None:
        super().progress()
        secrets = self.secrets()
        for name, pod in self.pods.items():
            if not is_ready(pod):
                continue
            if name not in self.files or name not in self.late:
                self.files[name] = secrets
        self.files = {name: held for name, held in self.files.items() if name in self.pods}
        for endpoint in self.stripe.sending() if self.traffic else ():
            for name in self.files:
                self.verified.setdefault(name, set()).add(self.stripe.secrets[endpoint.id])
        self.check()

    def look_on(self) -> None:
        """Check while the operator acts, which contains every exception."""
        try:
            self.check()
        except AssertionError as error:
            raise Violated(str(error)) from error

    def check(self) -> None:
        """No endpoint sends what a pod would reject."""
        for endpoint in self.stripe.sending():
            for name, accepted in self.files.items():
                assert self.stripe.secrets[endpoint.id] in accepted, (endpoint.id, name)

    def live_through(self, *, passes: int = 80, until: Callable[[], bool] = lambda: False) -> None:
        """Passes of operators that may die in each."""
        turns = Turns(self)
        for _ in range(passes):
            again = 1.0
            with suppress(Lost, Conflict):
                turns.take()
                again = turns.again or 60
            self.now += timedelta(seconds=min(again, 120))
            if until():
                return

    def calm(self) -> bool:
        """Whether a revision serves and no rotation is under way."""
        ready = self.conditions().get("Ready", {}).get("status") == "True"
        return ready and self.rotation().get("state") == "Current" and len(self.stripe.endpoints) == 1

    def at_rest(self) -> Self:
        """Live until it is calm."""
        self.live_through(passes=400, until=self.calm)
        return self

    def rotation(self) -> dict[str, Any]:
        found: dict[str, Any] = (self.status.get("rotation") or {}).get("webhook") or {}
        return found


@cache
def _rested() -> WebhookWorld:
    return managed().at_rest()


def rested() -> WebhookWorld:
    """Return an environment that serves, with its first endpoint."""
    return copy.deepcopy(_rested())


def managed(**fields: Any) -> WebhookWorld:
    """An environment whose endpoint the operator makes; nothing has happened yet."""
    world = WebhookWorld(**fields)
    world.spec["stripe"] = world.spec["stripe"] | {"webhook": MANAGED}
    return world

"""The cluster in memory with webhook endpoints at an account in memory, and pods that read their files late."""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.unit.operator.world import OWNER, Lost, World
from tests.unit.operator.world_objects import is_ready

from payment_operator import names
from payment_operator.backoff import Fault
from payment_operator.clients.stripe_endpoints import StripeFault
from payment_operator.decide.rotation.staged_credentials import staged_of
from payment_operator.decide.rotation.webhook import secrets as webhook_secrets
from payment_operator.decide.rotation.webhook import state as webhook_state
from payment_operator.decide.rotation.webhook import steps
from payment_operator.decide.rotation.webhook.endpoints import ENVIRONMENT
from payment_operator.effects.webhook_endpoints import work_on_endpoint
from payment_operator.errors import Conflict
from payment_operator.model.actions import Apply, CreateEndpoint, Decision, DeleteEndpoint, Part, UpdateEndpoint, key_of
from payment_operator.model.webhook import Endpoint, PodReport, WebhookSight

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from payment_operator.clients.stripe_endpoints import Account
    from payment_operator.clients.stripe_http import Form
    from payment_operator.model.actions import Action
    from payment_operator.model.observed import Observed

HOT = ("Secret", names.webhook_secrets(OWNER.name))
URL = "https://shop.example/api/v1/webhooks/stripe"
MANAGED = {
    "provider": "Managed",
    "url": URL,
    "rotation": {"intervalSeconds": 86_400, "overlapSeconds": 600, "maxOverlapSeconds": 3600},
}
MOST = 16


@dataclass
class Stripe:
    """An account's webhook endpoints, with idempotency keys as Stripe keeps them."""

    world: WebhookWorld
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Endpoint] = field(default_factory=dict)
    hides_secret: bool = False
    fault: StripeFault | None = None
    faulty: frozenset[str] = frozenset({"create", "update", "delete"})
    """What the fault is of."""
    keys: list[str] = field(default_factory=list)
    """Idempotency keys of the creations that were asked for."""
    created: int = 0
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    async def create(self, account: Account, *, key: str, form: Form) -> Endpoint:
        assert account.key
        self.keys.append(key)
        made: Endpoint = self._act("create", lambda: self._create(key, form))
        return made

    def _create(self, key: str, form: Form) -> Endpoint:
        if key in self.answers:
            return replace(self.answers[key], secret="") if self.hides_secret else self.answers[key]
        if len(self.endpoints) >= MOST:
            raise StripeFault(400, "Stripe: 400 You have reached the maximum of 16 test webhook endpoints.")
        number, values = next(self._numbers), dict(form)
        identity = {name[9:-1]: value for name, value in form if name.startswith("metadata[")}
        events = tuple(value for name, value in form if name == "enabled_events[]")
        made = Endpoint(
            f"we_{number}",
            values["url"],
            events=events,
            metadata=identity,
            created=int(self.world.now.timestamp()),
            secret=f"whsec_m{number}",
        )
        self.created += 1
        self.endpoints[made.id], self.secrets[made.id] = replace(made, secret=""), made.secret
        self.versions[made.id] = values["api_version"]
        self.answers[key] = made
        return made

    async def update(self, account: Account, endpoint: str, *, form: Form) -> bool:
        assert account.key
        events = [value for name, value in form if name == "enabled_events[]"]
        there: bool = self._act("update", lambda: self._update(endpoint, dict(form), events))
        return there

    def _update(self, endpoint: str, values: dict[str, str], events: list[str]) -> bool:
        former = self.endpoints.get(endpoint)
        if former is None:
            return False
        self.endpoints[endpoint] = replace(
            former,
            enabled=values["disabled"] == "false",
            url=values.get("url", former.url),
            events=tuple(events) or former.events,
        )
        return True

    async def delete(self, account: Account, endpoint: str) -> None:
        assert account.key
        self._act("delete", lambda: self.endpoints.pop(endpoint, None))

    def _act(self, kind: str, work: Callable[[], Any]) -> Any:
        if self.fault is not None and kind in self.faulty:
            raise self.fault
        before = self.sending()
        with self.world.mortal():
            result = work()
        if before and self.world.spec["stripe"]["webhook"].get("provider") == "Managed":
            self.world.silenced |= not self.sending()
        self.world.check()
        return result

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
    fault: Fault | None = None
    silenced: bool = False
    """Whether the operator has taken the last endpoint that sent while it was to keep one."""

    def __post_init__(self) -> None:
        self.stripe = Stripe(self)

    def mortal(self) -> Mortal:
        return Mortal(self)

    def observe(self) -> Observed:
        seen = super().observe()
        pods = webhook_state.reporting(seen)
        reports: dict[str, PodReport | None] = {pod.uid: self._report(seen, pod.name) for pod in pods}
        mine = tuple(e for e in self.stripe.endpoints.values() if e.metadata.get(ENVIRONMENT) == OWNER.uid)
        sight = WebhookSight(
            reports,
            mine if self.lists else None,
            None if self.unread else self.undelivered,
            self.unread,
            self.fault,
            None if self.lists else Fault("Stripe: 403 no permission to list", self.now + timedelta(seconds=2)),
            "0" * 32,
        )
        return replace(seen, webhook=sight)

    def _report(self, seen: Observed, name: str) -> PodReport:
        marks = frozenset(webhook_secrets.fingerprint_of(seen, value) for value in self.files.get(name, ()))
        verified = frozenset(webhook_secrets.fingerprint_of(seen, value) for value in self.verified.get(name, ()))
        image = next(
            revision.image
            for revision in seen.revisions.values()
            if revision.digest == self.pods[name]["metadata"]["labels"][names.LABEL_REVISION]
        )
        return PodReport(marks, verified, self.api_versions.get(image, steps.API_VERSION))

    def perform(self, action: Action) -> None:
        if isinstance(action, CreateEndpoint | UpdateEndpoint | DeleteEndpoint):
            self._work(action)
        elif isinstance(action, Apply) and key_of(action.manifest) == HOT:
            read = action.manifest["metadata"].get("resourceVersion")
            if HOT in self.objects and read != self.objects[HOT]["metadata"]["resourceVersion"]:
                raise Conflict(409, "Conflict", "read again")
            with self.mortal():
                super().perform(action)
        else:
            super().perform(action)

    def _work(self, action: CreateEndpoint | UpdateEndpoint | DeleteEndpoint) -> None:
        decision = Part()
        seen = super().observe()
        try:
            then = run(work_on_endpoint(action, self.stripe, seen, decision, staged=staged_of(seen)))
        except StripeFault as fault:
            self.fault = Fault(str(fault), self.now + timedelta(seconds=2))
            return
        self.fault = None
        self.writes += 1
        self.told_people += [(event.reason, event.message) for event in decision.events]
        if then is not None:
            self.perform(then)

    def operate(self, **arguments: Any) -> Decision:
        decision = super().operate(**arguments)
        self.told_people += [(event.reason, event.message) for event in decision.events]
        state = ((self.status.get("rotation") or {}).get("webhook") or {}).get("state", "")
        if state and [state] != self.seen_states[-1:]:
            self.seen_states.append(state)
        return decision

    def secrets(self) -> tuple[str, ...]:
        """What the hot Secret holds."""
        return tuple(webhook_secrets.values(super().observe()))

    def progress(self) -> None:
        super().progress()
        for name, pod in self.pods.items():
            if not is_ready(pod):
                continue
            if name not in self.files or name not in self.late:
                self.files[name] = self.secrets()
        self.files = {name: held for name, held in self.files.items() if name in self.pods}
        for endpoint in self.stripe.sending() if self.traffic else ():
            for name in self.files:
                self.verified.setdefault(name, set()).add(self.stripe.secrets[endpoint.id])
        self.check()

    def check(self) -> None:
        """No endpoint sends what a pod would reject."""
        for endpoint in self.stripe.sending():
            for name, held in self.files.items():
                assert self.stripe.secrets[endpoint.id] in held, (endpoint.id, name)

    def live_through(self, *, passes: int = 80, until: Callable[[], bool] = lambda: False) -> None:
        """Passes of operators that may die in each."""
        for _ in range(passes):
            again = 1.0
            with suppress(Lost, Conflict):
                again = self.operate().again_after or 60
            self.progress()
            self.now += timedelta(seconds=min(again, 120))
            if until():
                return

    def calm(self) -> bool:
        """Whether a revision serves and no rotation is under way."""
        ready = self.conditions().get("Ready", {}).get("status") == "True"
        return ready and self.rotation().get("state") == "Current" and len(self.stripe.endpoints) == 1

    def at_rest(self) -> WebhookWorld:
        """Live until it is calm."""
        self.live_through(passes=400, until=self.calm)
        return self

    def rotation(self) -> dict[str, Any]:
        found: dict[str, Any] = (self.status.get("rotation") or {}).get("webhook") or {}
        return found


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


def managed(**fields: Any) -> WebhookWorld:
    """An environment whose endpoint the operator makes; nothing has happened yet."""
    world = WebhookWorld(**fields)
    world.spec["stripe"] = world.spec["stripe"] | {"webhook": MANAGED}
    return world

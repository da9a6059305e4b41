"""An environment and its cluster: what people ask, what kubelets and controllers do; no clock of its own.

The operator in it is the real one (`world_operator.py`), over the adapters in memory of `payment_operator.testing`. It
proves nothing of Kubernetes (the cluster tier does): it lets the operator meet every order of events, crash and old
view in milliseconds.
"""

from __future__ import annotations

import base64
import copy
import itertools
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import msgspec
from tests.unit.operator.turns import Turns
from tests.unit.operator.world_api import SOURCE_SECRET, Kept, Pods, Store
from tests.unit.operator.world_objects import JOB, endpoint_slice, is_ready, make_pod
from tests.unit.operator.world_operator import Lost, Operator, nothing_around, run, scripted

from payment_operator import names
from payment_operator.api.environment import Environment
from payment_operator.backoff import Backoff
from payment_operator.decide.placement import assign, baking
from payment_operator.decide.rotation.staged_credentials import staged_of
from payment_operator.fingerprints import fingerprint
from payment_operator.model.key_proof import KeyCheck, State
from payment_operator.model.observed import Bake, ClusterState, Observed, Probe, Revision, Setbacks
from payment_operator.model.pod import read_pod
from payment_operator.model.secret_keys import SecretKeySight
from payment_operator.model.webhook import WebhookSight
from payment_operator.resources.credentials import malformed
from payment_operator.resources.metadata import Owner
from payment_operator.testing import InMemoryPods, InMemoryRoles, InMemoryStripe

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from payment_operator.model.actions import Action, Decision

__all__ = ["OWNER", "SOURCE", "SPEC", "Behaviour", "Lost", "World"]

OWNER = Owner("shop", "test", "uid-shop")
SPEC: dict[str, Any] = {
    "image": "registry/payments:1",
    "secretKeyRef": {"name": "payments"},
    "database": {"urlSecretRef": {"name": "payments"}, "allowPlaintext": True},
    "redis": {"urlSecretRef": {"name": "payments"}, "allowPlaintext": True},
    "stripe": {
        "mode": "Test",
        "apiKey": {"secretRef": {"name": "payments"}},
        "webhook": {"secretRef": {"name": "payments"}},
    },
    "release": {"bake": {"seconds": 60}, "retainSeconds": 300, "drainSeconds": 5, "cutover": {"overlapSeconds": 10}},
}
SOURCE = {
    "DATABASE_URL": "postgresql://app:secret-word@db/payments",
    "REDIS_URL": "redis://redis:6379",
    "SECRET_KEY": "0123456789abcdef0123456789abcdef",
    "STRIPE_SECRET_KEY": "sk_test_1",
    "STRIPE_WEBHOOK_SECRET": "whsec_1",
}
_SERVING: dict[type[World], Any] = {}
PLAN = {"current": 2, "target": 2, "pending": [], "runnable": [], "findings": []}


@dataclass
class Behaviour:
    """What the pods of one image do."""

    starts: bool = True
    plan: dict[str, Any] = field(default_factory=lambda: dict(PLAN))
    exit_codes: dict[str, int] = field(default_factory=dict)
    breach: str = ""
    words: str = ""


@dataclass
class World:
    """The store and what happens in it."""

    owner: Owner = OWNER
    spec: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(SPEC))
    source: dict[str, str] | None = field(default_factory=lambda: dict(SOURCE))
    now: datetime = datetime(2026, 11, 25, tzinfo=UTC)
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """Names of the requests that people have made."""
    status: dict[str, Any] = field(default_factory=dict)
    told: dict[tuple[str, str], bool] = field(default_factory=dict)
    probes: dict[str, Probe] = field(default_factory=dict)
    jobs_made: list[str] = field(default_factory=list)
    writes: int = 0
    breaches: int = 0
    looks: int = 0
    generation: int = 1
    database: dict[str, tuple[str, bool]] = field(default_factory=lambda: {"app": ("secret-word", True)})
    """Password and whether it logs in, by role."""
    database_answers: bool = True
    taken: dict[str, str] = field(default_factory=dict)
    """Whose a database is, by its address; to be shared by worlds that share one."""
    verdicts: dict[str, tuple[State, str]] = field(default_factory=dict)
    """What Stripe says of an API key: state and reason; unknown ones are valid."""
    checked: dict[str, datetime] = field(default_factory=dict)
    """When a key was first asked for: it is asked for once."""
    settled: bool = True
    calls: Backoff = field(default_factory=Backoff)
    """Of changes of webhook endpoints."""
    acting: bool = False
    """Whether a pass is under way: then a look at the bake counts."""
    _versions: Any = field(default_factory=lambda: itertools.count(1))
    decision: Decision = field(init=False, repr=False)
    """Of the last pass."""
    api: Store = field(init=False, repr=False)

    def __post_init__(self) -> None:
        Store(self)
        self.admin = InMemoryPods(taken=self.told)
        self.roles = InMemoryRoles(self.database)
        self.stripe_api = InMemoryStripe()

    @property
    def objects(self) -> Kept:
        """What there is, without what has fields of its own here."""
        return Kept(self)

    @property
    def pods(self) -> Pods:
        """The pods, by name."""
        return Pods(self)

    def clock(self) -> datetime:
        return self.now

    # what people do

    def change(self, **spec: Any) -> None:
        self.spec |= spec
        self.generation += 1

    def ask(self, verb: str, revision: int | None = None, **spec: Any) -> str:
        """Make a request and return its name."""
        name = f"shop-{verb}-{len(self.asked) + 1}"
        self.asked.append(name)
        spec |= {"environment": self.owner.name, "verb": verb} | (
            {"revision": revision} if revision is not None else {}
        )
        metadata = {"name": name, "namespace": self.owner.namespace, "uid": f"uid-{name}"}
        item = {"apiVersion": names.API_VERSION, "kind": names.REQUEST_KIND, "metadata": metadata, "spec": spec}
        self.api.put(item)
        return name

    def answer(self, name: str = "") -> dict[str, Any]:
        """The status of a request; of the last one that was made."""
        status: dict[str, Any] = {"state": "Pending", "message": ""}
        return status | dict(self.objects[names.REQUEST_KIND, name or self.asked[-1]].get("status", {}))

    def requests(self) -> list[dict[str, Any]]:
        """What people have asked and is still kept."""
        return [item for (kind, _), item in self.objects.items() if kind == names.REQUEST_KIND]

    def behave(self, image: str) -> Behaviour:
        return self.behaviours.setdefault(image, Behaviour())

    # what the operator sees

    def sync(self) -> None:
        """Put what stands in fields here where the operator reads it."""
        owner = self.owner
        metadata = {
            "name": owner.name,
            "namespace": owner.namespace,
            "uid": owner.uid,
            "generation": self.generation,
            "creationTimestamp": "2026-11-25T00:00:00Z",
            "resourceVersion": str(self.generation),
        }
        environment = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": metadata}
        data = {key: base64.b64encode(value.encode()).decode() for key, value in (self.source or {}).items()}
        secret = {"metadata": {"name": SOURCE_SECRET, "namespace": owner.namespace}, "data": data}
        stored = self.api.objects
        stored[names.KIND, owner.namespace, owner.name] = environment | {"spec": self.spec, "status": self.status}
        stored.pop(("Secret", owner.namespace, SOURCE_SECRET), None)
        if self.source is not None:
            stored["Secret", owner.namespace, SOURCE_SECRET] = secret
        for place in [place for place in stored if place[0] == "EndpointSlice"]:
            del stored[place]
        for (kind, namespace, name), item in list(stored.items()):
            if kind == "Service":
                ready = self.selected((item.get("spec") or {}).get("selector") or {})
                stored["EndpointSlice", namespace, name] = endpoint_slice(item, ready)

    def synced(self) -> None:
        """Take back what the operator has written of these."""
        status = self.api.objects[names.KIND, self.owner.namespace, self.owner.name].get("status")
        self.status = copy.deepcopy(status or {})

    def observe(self) -> Observed:
        """What the operator would observe now; asking changes nothing."""
        self.sync()
        place = (names.KIND, self.owner.namespace, self.owner.name)
        environment = copy.deepcopy(self.api.objects[place])
        found: Observed = run(scripted(self).observe(environment, now=self.now, setbacks=Setbacks()))
        return found

    def check_key(self) -> KeyCheck | None:
        key = (self.source or {}).get("STRIPE_SECRET_KEY", "")
        state, reason = self.verdicts.get(key, ("Valid", "Valid"))
        word, why = malformed(msgspec.convert(self.spec, Environment), key)
        at = self.checked.setdefault(key, self.now)
        if word:
            return KeyCheck(fingerprint(key, salt=self.owner.uid), "Refused", at, word, why)
        return KeyCheck(fingerprint(key, salt=self.owner.uid), state, at, reason, reason)

    def bake(self, active: Revision | None) -> Bake:
        """What the pods' metrics say: a look in every pass."""
        if active is None or not baking(active):
            self.breaches = self.looks = 0
            return Bake()
        breach = self.behave(active.image).breach
        if self.acting:
            self.looks += 1
            self.breaches = self.breaches + 1 if breach else 0
        return Bake(self.looks, self.breaches, breach)

    def webhook_sight(self, _: ClusterState) -> WebhookSight:
        return WebhookSight()

    def secret_key_sight(self, _: ClusterState) -> SecretKeySight:
        return SecretKeySight()

    def selected(self, selector: dict[str, str]) -> list[dict[str, Any]]:
        """Ready pods that a selector matches."""
        return [
            pod
            for pod in self.pods.values()
            if is_ready(pod) and selector and selector.items() <= pod["metadata"]["labels"].items()
        ]

    # what the operator does

    def operate(self, *, seen: Observed | None = None, survives: int | None = None) -> Decision:
        """One pass of the real operator; `survives` is after how many actions it dies."""
        self.sync()
        self.acting = True
        try:
            Operator(self, survives=survives).once(seen)
        finally:
            self.acting = False
            self.synced()
        return self.decision

    def see(self, action: Action) -> None: ...  # before it is done

    def around(self, _: dict[str, Any]) -> AbstractContextManager[object]:
        """Where the operator may die beside one apply."""
        return nothing_around()

    def lose_half_way(self) -> None: ...  # between the work on a role and its record

    def logs_in(self, url: str) -> bool:
        """Whether PostgreSQL takes this login."""
        return self.roles.logs_in(url)

    def remove(self, key: tuple[str, str]) -> None:
        """Delete an object and what Kubernetes deletes with it."""
        self.api.remove((key[0], self.owner.namespace, key[1]))

    # what Kubernetes does

    def progress(self) -> None:
        """Deployments get their pods, Jobs end."""
        for (kind, name), item in list(self.objects.items()):
            if kind == "Deployment":
                self._scale(name, item)
            elif kind == "Job" and not item.get("status"):
                self._end(name, item)

    def _scale(self, name: str, item: dict[str, Any]) -> None:
        template = item["spec"]["template"]
        image = template["spec"]["containers"][0]["image"]
        mine = [pod for pod in self.pods if pod.startswith(f"{name}-")]
        wanted = item["spec"].get("replicas", 1)
        for pod in mine[wanted:]:
            del self.pods[pod]
        for _ in range(wanted - len(mine)):
            number = next(self._versions)
            labels, ready = template["metadata"]["labels"], self.behave(image).starts
            self.pods[f"{name}-{number}"] = make_pod(f"{name}-{number}", labels, ready=ready, of=item)

    def _end(self, name: str, item: dict[str, Any]) -> None:
        labels = item["metadata"]["labels"]
        step = labels[names.LABEL_STEP]
        (container,) = item["spec"]["template"]["spec"]["containers"]
        behaviour = self.behave(container["image"])
        code, words = behaviour.exit_codes.get(step, 0), behaviour.words
        if other := self._other(step, container):
            code, words = 8, json.dumps({"error": f"this database is of the environment {other}"})
        elif step == "plan" and not code:
            words = json.dumps(behaviour.plan)
        pod = make_pod(f"{name}-pod", labels | {JOB: name}, ready=False, of=item)
        pod["status"] |= {"phase": "Failed" if code else "Succeeded"}
        pod["status"]["containerStatuses"][0]["state"] = {"terminated": {"exitCode": code, "message": words}}
        self.pods[f"{name}-pod"] = pod
        item["status"] = {"conditions": [{"type": "Failed" if code else "Complete", "status": "True"}]}

    def _other(self, step: str, container: dict[str, Any]) -> str:
        """Return whose the database is if it is another's, as the service says; whatever is no plan takes one that is
        nobody's."""
        env = {variable["name"]: variable.get("value") for variable in container["env"]}
        here, address = str(env["PAYMENTS_ENVIRONMENT_NAME"]), (self.source or {}).get("DATABASE_URL", "")
        if step != "plan":
            self.taken.setdefault(address, here)
        owner = self.taken.get(address, here)
        return "" if owner == here else owner

    # whole stretches

    def begin(self) -> None:
        """Live until the first revision serves."""
        self.settle()

    @classmethod
    def serving(cls) -> Self:
        """Return an environment that serves its first revision; such a world is made once and then copied."""
        if cls not in _SERVING:
            _SERVING[cls] = cls()
            _SERVING[cls].begin()
        found: Self = copy.deepcopy(_SERVING[cls])
        return found

    def settle(self, *, passes: int = 200) -> Decision:
        """Let everything happen until nothing more does; time flies."""
        quiet, turns = 0, Turns(self)
        for _ in range(passes):
            before = self.writes
            turns.take()
            if self.writes > before:
                quiet = 0
                continue
            quiet += 1
            again = turns.again
            self.now += timedelta(seconds=max(again or 60, 60))
            if quiet > (3 if again is None else 25):
                return self.decision
        raise AssertionError(f"not settled: {json.dumps(self.status, indent=1)}")

    # what tests ask

    def conditions(self) -> dict[str, dict[str, Any]]:
        return {entry["type"]: entry for entry in self.status.get("conditions", [])}

    def active(self) -> str:
        """The image that the Service selects."""
        seen = self.observe()
        active = assign(seen, staged_of(seen)).active
        return active.image if active else ""

    def service(self) -> dict[str, Any]:
        return self.objects["Service", names.api_service(self.owner.name)]

    def populated(self) -> set[str]:
        """Revisions with pods, ending ones included; a look that is possible while the operator acts."""
        pods = map(read_pod, self.pods.values())
        return {pod.revision for pod in pods if not pod.job and not pod.finished}

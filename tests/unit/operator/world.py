"""A cluster in memory: objects with versions, Deployments that make pods, Jobs that end; no clock of its own.

It is no mock of Kubernetes to prove the operator on (the cluster tier does that): it lets `decide` meet every order of
events, crash and old view in milliseconds.
"""

from __future__ import annotations

import base64
import copy
import itertools
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from tests.unit.operator.world_objects import JOB, is_ready, make_pod, operate

from payment_operator import names
from payment_operator.api.environment import Environment
from payment_operator.decide.decision import decide
from payment_operator.decide.placement import assign, baking
from payment_operator.decide.rotation.staged_credentials import staged_of
from payment_operator.errors import Conflict
from payment_operator.fingerprints import fingerprint
from payment_operator.model import requests as asked
from payment_operator.model.actions import (
    Action,
    Apply,
    Create,
    Decision,
    Delete,
    LockRole,
    Patch,
    PrepareRole,
    PutToPod,
    key_of,
)
from payment_operator.model.key_proof import KeyCheck, KeySight, State
from payment_operator.model.observed import Bake, Observed, Probe
from payment_operator.model.pod import read_pod
from payment_operator.model.requests import Requests
from payment_operator.resources.credentials import malformed, read_sources
from payment_operator.resources.login import login_of
from payment_operator.resources.metadata import Owner
from payment_operator.resources.release_record import stamp

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
PLAN = {"current": 2, "target": 2, "pending": [], "runnable": [], "findings": []}


class Lost(Exception):
    """The operator dies here."""


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
    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
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
    _passwords: Any = field(default_factory=lambda: itertools.count(1))
    _versions: Any = field(default_factory=lambda: itertools.count(1))

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
        metadata |= {"resourceVersion": str(next(self._versions)), "creationTimestamp": stamp(self.now)}
        self.objects[names.REQUEST_KIND, name] = {
            "apiVersion": names.API_VERSION,
            "kind": names.REQUEST_KIND,
            "metadata": metadata,
            "spec": spec,
        }
        return name

    def answer(self, name: str = "") -> dict[str, Any]:
        """The status of a request; of the last one that was made."""
        status: dict[str, Any] = {"state": "Pending", "message": ""}
        return status | dict(self.objects[names.REQUEST_KIND, name or self.asked[-1]].get("status", {}))

    def behave(self, image: str) -> Behaviour:
        return self.behaviours.setdefault(image, Behaviour())

    # what the operator sees

    def observe(self) -> Observed:
        environment = msgspec.convert(self.spec, Environment)
        data = {key: base64.b64encode(value.encode()).decode() for key, value in (self.source or {}).items()}
        secret = None if self.source is None else {"data": data}
        seen = Observed(
            owner=self.owner,
            metadata={
                "name": self.owner.name,
                "namespace": self.owner.namespace,
                "uid": self.owner.uid,
                "generation": self.generation,
                "creationTimestamp": "2026-11-25T00:00:00Z",
                "resourceVersion": str(self.generation),
            },
            spec=environment,
            now=self.now,
            sources=read_sources(environment, {"payments": secret}),
            status=copy.deepcopy(self.status),
            objects={key: item for key, item in self.objects.items() if key[0] != names.REQUEST_KIND},
            requests=Requests(tuple(asked.read(item) for item in self.requests())),
            pods=tuple(read_pod(pod) for pod in self.pods.values()),
            serving=self._serving(),
            probes=dict(self.probes),
            fresh_password=f"fresh-password-{next(self._passwords)}",
        )
        seen = replace(seen, api_key=KeySight(self._check(), settled=self.settled))
        return replace(seen, bake=self._bake(seen))

    def requests(self) -> list[dict[str, Any]]:
        """What people have asked and is still kept."""
        return [copy.deepcopy(item) for (kind, _), item in self.objects.items() if kind == names.REQUEST_KIND]

    def _check(self) -> KeyCheck | None:
        key = (self.source or {}).get("STRIPE_SECRET_KEY", "")
        state, reason = self.verdicts.get(key, ("Valid", "Valid"))
        word, why = malformed(msgspec.convert(self.spec, Environment), key)
        at = self.checked.setdefault(key, self.now)
        if word:
            return KeyCheck(fingerprint(key, salt=self.owner.uid), "Refused", at, word, why)
        return KeyCheck(fingerprint(key, salt=self.owner.uid), state, at, reason, reason)

    def _bake(self, seen: Observed) -> Bake:
        active = assign(seen, staged_of(seen)).active
        if not baking(active) or active is None:
            self.breaches = self.looks = 0
            return Bake()
        breach = self.behave(active.image).breach
        self.looks += 1
        self.breaches = self.breaches + 1 if breach else 0
        return Bake(self.looks, self.breaches, breach)

    def _serving(self) -> dict[str, frozenset[str]]:
        return {
            name: frozenset(pod["metadata"]["uid"] for pod in self.selected(item["spec"].get("selector") or {}))
            for (kind, name), item in self.objects.items()
            if kind == "Service"
        }

    def selected(self, selector: dict[str, str]) -> list[dict[str, Any]]:
        """Ready pods that a selector matches."""
        return [
            pod
            for pod in self.pods.values()
            if is_ready(pod) and selector and selector.items() <= pod["metadata"]["labels"].items()
        ]

    # what the operator does

    def operate(self, *, seen: Observed | None = None, survives: int | None = None) -> Decision:
        """One pass; `survives` is after how many actions the operator dies."""
        decision = decide(seen or self.observe())
        for number, action in enumerate(decision.actions):
            if number == survives:
                raise Lost
            self.perform(action)
        if survives is not None:
            raise Lost
        self.status = copy.deepcopy(decision.status)
        return decision

    def perform(self, action: Action) -> None:
        match action:
            case Apply(manifest):
                self._apply(manifest)
            case Create(manifest):
                if key_of(manifest) not in self.objects:
                    self._apply(manifest)
            case Patch(kind, name, operations):
                self._patch(kind, name, operations)
            case Delete(kind, name, uid):
                live = self.objects.get((kind, name))
                if live is not None and live["metadata"]["uid"] == uid:
                    self.remove((kind, name))
            case PrepareRole() | LockRole() | PutToPod():
                self._perform_elsewhere(action)
                return
        self.writes += 1

    def _perform_elsewhere(self, action: PrepareRole | LockRole | PutToPod) -> None:
        """What is no write to Kubernetes."""
        if isinstance(action, PutToPod):
            self.told[action.pod.uid, action.path] = action.body[1]
        else:
            self._work_on_role(action)

    def _work_on_role(self, action: PrepareRole | LockRole) -> None:
        if not self.database_answers:
            return
        if isinstance(action, PrepareRole):
            login = login_of(action.url)
            self.database[login.role] = (login.password, True)
        else:
            self.database[action.role] = (self.database[action.role][0], False)
        self.lose_half_way()
        self.perform(action.then)

    def lose_half_way(self) -> None: ...  # between the work on a role and its record

    def logs_in(self, url: str) -> bool:
        """Whether PostgreSQL takes this login."""
        login = login_of(url)
        return self.database.get(login.role) == (login.password, True)

    def _apply(self, manifest: dict[str, Any]) -> None:
        key = key_of(manifest)
        former = self.objects.get(key)
        item = copy.deepcopy(manifest)
        if former is not None:
            metadata = former["metadata"] | item["metadata"]
            metadata["annotations"] = (former["metadata"].get("annotations") or {}) | (
                item["metadata"].get("annotations") or {}
            )
            item = former | item | {"metadata": metadata}
            if "spec" in former and "spec" in manifest:
                item["spec"] = former["spec"] | copy.deepcopy(manifest["spec"])
        else:
            item["metadata"]["uid"] = f"uid-{next(self._versions)}"
            if key[0] == "Job":
                self.jobs_made.append(key[1])
        item["metadata"].setdefault("creationTimestamp", stamp(self.now))
        item["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[key] = item

    def _patch(self, kind: str, name: str, operations: tuple[dict[str, Any], ...]) -> None:
        item = self.objects.get((kind, name))
        if item is None:
            raise Conflict(404, "NotFound", "gone")
        item = copy.deepcopy(item)
        for operation in operations:
            operate(item, operation)
        item["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[kind, name] = item

    def remove(self, key: tuple[str, str]) -> None:
        """Delete an object and what Kubernetes deletes with it."""
        item = self.objects.pop(key)
        if key[0] == "Deployment":
            labels = item["spec"]["selector"]["matchLabels"].items()
            self.pods = {n: pod for n, pod in self.pods.items() if not labels <= pod["metadata"]["labels"].items()}
        elif key[0] == "Job":
            self.pods = {n: pod for n, pod in self.pods.items() if pod["metadata"]["labels"].get(JOB) != key[1]}

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
            self.pods[f"{name}-{number}"] = make_pod(
                f"{name}-{number}", template["metadata"]["labels"], ready=self.behave(image).starts
            )

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
        pod = make_pod(f"{name}-pod", labels | {JOB: name}, ready=False)
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

    def settle(self, *, passes: int = 200) -> Decision:
        """Let everything happen until nothing more does; time flies."""
        quiet = 0
        for _ in range(passes):
            before = self.writes
            decision = self.operate()
            self.progress()
            if self.writes > before:
                quiet = 0
                continue
            quiet += 1
            self.now += timedelta(seconds=max(decision.again_after or 60, 60))
            if quiet > 3 and decision.again_after is None:
                return decision
            if quiet > 25:
                return decision
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
        return self.observe().populated()

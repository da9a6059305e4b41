"""The cluster in memory with API keys, and pods that read SECRET_KEY late: as docs/contracts.md says of the service."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.unit.operator.turns import live
from tests.unit.operator.world import OWNER, World
from tests.unit.operator.world_objects import is_ready

from payment_operator import names
from payment_operator.decide.rotation import secret_keys
from payment_operator.fingerprints import fingerprint
from payment_operator.model.secret_keys import SecretKeySight, read_report
from payment_operator.resources.secret_keys import decode

if TYPE_CHECKING:
    from payment_operator.model.observed import ClusterState

VALUES = tuple(f"{letter}-0123456789abcdef0123456789abcdef" for letter in "abcdefg")
A, B, C, *_ = VALUES
KEPT = ("Secret", names.secret_keys(OWNER.name))


@dataclass
class SecretKeyWorld(World):
    files: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What each API pod has read."""
    late: set[str] = field(default_factory=set)
    """Pods that do not read their file anew."""
    silent: set[str] = field(default_factory=set)
    """Pods that do not answer."""
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """API keys: the values that their one or two digests are under, the newest first."""
    blind: bool = False
    """Whether the pods' database is away."""
    told_people: list[tuple[str, str]] = field(default_factory=list)

    def write(self, *values: str) -> None:
        """A person writes the values into the Secret that the spec names."""
        self.source = (self.source or {}) | {"SECRET_KEY": ",".join(values)}

    def kept(self) -> tuple[str, ...]:
        """What the Secret that pods read holds."""
        return decode(self.objects.get(KEPT))[0]

    def secret_key_sight(self, observed: ClusterState) -> SecretKeySight:
        pods = secret_keys.reporting(observed)
        answers = {pod.uid: {} if pod.name in self.silent else self.status_of(pod.name) for pod in pods}
        return SecretKeySight({uid: read_report(answer) for uid, answer in answers.items()})

    def status_of(self, pod: str) -> dict[str, Any]:
        """What a pod answers to GET /status."""
        values = self.files.get(pod, ())
        marks = [fingerprint(value, salt=OWNER.uid) for value in values]
        counts: Counter[str] = Counter()
        for under in self.keys.values():
            finding = [value for value in under if value in values]
            if len(finding) == 1 or not finding:
                counts[(finding or under)[0]] += 1
        told = {
            "in_use": [
                {"id": value[0], "fingerprint": mark, "signs": not place, "keys_needing": counts[value]}
                for place, (value, mark) in enumerate(zip(values, marks, strict=True))
            ],
            "missing": [{"id": v[0], "keys_needing": n} for v, n in counts.items() if v not in values],
        }
        return {"secrets": {"secret_key": marks}, "secret_keys": None if self.blind else told}

    def make_key(self, name: str, pod: str) -> None:
        """A key is made in a pod, and known under the first two values."""
        self.keys[name] = self.files[pod][:2]

    def use(self, name: str, pod: str) -> None:
        """A key is used: hashed anew under the pod's first value."""
        under, values = self.keys[name], self.files[pod]
        known = next(value for value in under if value in values)
        if values[0] not in under:
            self.keys[name] = (values[0], known)

    def refused(self) -> list[tuple[str, str]]:
        """Keys that a pod would refuse."""
        return [
            (name, pod)
            for name, under in self.keys.items()
            for pod, values in self.files.items()
            if not set(under) & set(values)
        ]

    def api_pods(self) -> list[str]:
        return [
            name
            for name, pod in self.pods.items()
            if pod["metadata"]["labels"].get(names.LABEL_COMPONENT) == names.API and is_ready(pod)
        ]

    def progress(self) -> None:
        super().progress()
        there, kept = self.api_pods(), self.kept()
        for name in there:
            if name not in self.files or name not in self.late:
                self.files[name] = kept
        self.files = {name: values for name, values in self.files.items() if name in there}

    def operate(self, **arguments: Any) -> Any:
        decision = super().operate(**arguments)
        self.told_people += [(event.reason, event.message) for event in decision.events]
        return decision

    def live_through(self, *, passes: int = 30, seconds: float = 30) -> None:
        live(self, passes=passes, seconds=lambda _: seconds)

    def reported(self) -> dict[str, Any]:
        found: dict[str, Any] = self.status["rotation"]["secretKey"]
        return found


def serving(*values: str) -> SecretKeyWorld:
    """An environment that serves with these values, and whose bake is over."""
    return copy.deepcopy(_served(values or (A,)))


@cache
def _served(values: tuple[str, ...]) -> SecretKeyWorld:
    world = SecretKeyWorld()
    world.write(*values)
    world.settle()
    world.live_through(passes=20, seconds=60)
    return world

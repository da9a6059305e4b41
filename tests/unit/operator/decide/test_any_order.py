"""Any order of changes, requests, crashes, deletions and failures keeps the invariants and ends settled."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.examples import examples
from tests.unit.operator.world import OWNER, Lost, World

from payment_operator import names
from payment_operator.errors import Conflict
from payment_operator.model.actions import Action, Create, Patch

if TYPE_CHECKING:
    from payment_operator.model.observed import Observed

IMAGES = [f"registry/payments:{number}" for number in range(1, 5)]
PENDING = [
    {"number": 3, "phase": "expand", "summary": "adds"},
    {"number": 4, "phase": "contract", "summary": "drops"},
]
SERVICE = names.api_service(OWNER.name)


class Watched(World):
    """Looks at every write as it happens."""

    def see(self, action: Action) -> None:
        if isinstance(action, Patch) and (action.kind, action.name) == ("Service", SERVICE):
            written = next(
                op["value"] for op in action.operations if op["op"] != "test" and op["path"] == "/spec/selector"
            )
            assert self.selected(written), f"the Service selects no ready pod: {written}"
        if isinstance(action, Create) and "-contract-" in action.manifest["metadata"]["name"]:
            assert self.populated() == {action.manifest["metadata"]["labels"][names.LABEL_REVISION]}


class Releases(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = Watched.serving()
        self.attempts: dict[str, int] = {}
        self.asked = False
        self.old: Observed | None = None

    # people

    @rule(image=st.sampled_from(IMAGES))
    def another_image(self, image: str) -> None:
        self.world.change(image=image)

    @rule(
        verb=st.sampled_from(["promote", "approve", "abort", "retry", "rollback"]),
        number=st.sampled_from([None, 1, 2, 3]),
    )
    def request(self, verb: str, number: int | None) -> None:
        self.world.ask(verb, number)
        self.asked = self.asked or verb in {"retry", "rollback"}

    @rule(verb=st.sampled_from(["freeze", "unfreeze"]))
    def freeze(self, verb: str) -> None:
        self.world.ask(verb)

    @rule(on=st.booleans())
    def suspend(self, on: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        self.world.change(suspend=on)

    @rule(mode=st.sampled_from(["Auto", "Manual"]), cutover=st.sampled_from(["Overlap", "Atomic"]))
    def manner(self, mode: str, cutover: str) -> None:
        self.world.change(release=self.world.spec["release"] | {"promotion": mode, "cutover": {"mode": cutover}})

    @rule(count=st.integers(1, 4))
    def replicas(self, count: int) -> None:
        self.world.change(replicas=count)

    # the new images

    @rule(
        image=st.sampled_from(IMAGES[1:]),
        fault=st.sampled_from(["none", "none", "plan", "expand", "smoke", "contract", "starts", "breach"]),
        migrates=st.booleans(),
    )
    def behave(self, image: str, fault: str, migrates: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        behaviour = self.world.behave(image)
        behaviour.starts, behaviour.breach = fault != "starts", "errors" if fault == "breach" else ""
        behaviour.exit_codes = {fault: 1}
        behaviour.plan |= {"pending": PENDING if migrates else [], "runnable": [3] if migrates else []}

    # the operator and its cluster

    @rule(passes=st.integers(1, 6))
    def operate(self, passes: int) -> None:
        for _ in range(passes):
            self.world.operate()
            self.world.progress()

    @rule(survives=st.integers(0, 6))
    def crash(self, survives: int) -> None:
        with pytest.raises(Lost):
            self.world.operate(survives=survives)

    @rule()
    def remember(self) -> None:
        self.old = self.world.observe()

    @precondition(lambda self: self.old is not None)
    @rule()
    def two_operators(self) -> None:
        """A second operator ends a pass that it began long ago: what it writes of records and traffic is refused."""
        with suppress(Conflict):
            self.world.operate(seen=self.old)
        self.old = None
        for _ in range(3):
            self.world.operate()
            self.world.progress()

    @rule(seconds=st.sampled_from([1, 15, 70, 400, 2000]))
    def time_passes(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)

    @rule(choice=st.integers(0, 1000))
    def delete_something(self, choice: int) -> None:
        kinds = {"Deployment", "ConfigMap", "PodDisruptionBudget", "Job", "HorizontalPodAutoscaler"}
        keys = sorted(key for key in self.world.objects if key[0] in kinds)
        if keys:
            self.world.remove(keys[choice % len(keys)])

    # what always holds

    @invariant()
    def traffic_has_a_target(self) -> None:
        if ("Service", SERVICE) in self.world.objects:
            selector = self.world.service()["spec"]["selector"]
            assert selector.get(names.LABEL_ENVIRONMENT) == OWNER.name

    @invariant()
    def nothing_failed_is_tried_again_by_itself(self) -> None:
        for digest, revision in self.world.observe().revisions.items():
            former = self.attempts.get(digest, 0)
            if revision.record.state == "Failed" or former < 0:
                attempt = revision.record.attempt
                assert self.asked or former >= 0 or attempt == -former
                self.attempts[digest] = -attempt

    def teardown(self) -> None:
        self.world.change(suspend=False)
        self.world.ask("unfreeze")
        for behaviour in self.world.behaviours.values():
            behaviour.exit_codes, behaviour.breach, behaviour.starts = {}, "", True
        self.world.settle()
        settled = self.world.writes
        self.world.operate()
        assert self.world.writes == settled
        status: dict[str, Any] = self.world.conditions()
        assert status["Available"]["status"] == "True"
        assert len(self.world.populated()) <= 2
        assert {self.world.answer(name)["state"] for name in self.world.asked} <= {"Done", "Refused"}


class OneOperator(Releases):
    """Without a second operator at most two revisions ever have pods."""

    @invariant()
    def at_most_two_revisions_have_pods(self) -> None:
        assert self.old is not None or len(self.world.populated()) <= 2

    @precondition(lambda _: False)
    @rule()
    def two_operators(self) -> None:
        """Not here."""


MANY = settings(
    max_examples=int(os.environ.get("EXAMPLES", examples(25))),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestTwoOperators = Releases.TestCase
TestTwoOperators.settings = MANY
TestOneOperator = OneOperator.TestCase
TestOneOperator.settings = MANY

"""Alternating roles on a cluster in memory: the password in use works at every moment, the former role ends locked."""

from __future__ import annotations

import copy
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.examples import examples
from tests.unit.operator.turns import Turns, live
from tests.unit.operator.world import SOURCE, SPEC, Lost, World

from payment_operator import names
from payment_operator.decide.placement import assign
from payment_operator.decide.rotation.staged_credentials import staged_of
from payment_operator.errors import Conflict
from payment_operator.resources.login import login_of

ROTATION = {"mode": "AlternatingRoles", "roles": ["app_a", "app_b"], "intervalSeconds": 86400}
DATABASE = {
    "urlSecretRef": {"name": "payments"},
    "allowPlaintext": True,
    "migrationUrlSecretRef": {"name": "payments"},
    "rotation": ROTATION | {"adminSecretRef": {"name": "payments"}},
}
LOGINS = {
    "DATABASE_MIGRATION_URL": "postgresql://owner:owner-word@db/payments",
    "DATABASE_ADMIN_URL": "postgresql://admin:admin-word@db/payments",
}


@dataclass
class Rotating(World):
    """An environment with alternating roles."""

    spec: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(SPEC | {"database": DATABASE}))
    source: dict[str, str] | None = field(default_factory=lambda: SOURCE | LOGINS)

    def begin(self) -> None:
        go_on(self, passes=40)


@pytest.fixture
def world() -> World:
    """An environment with rotation that serves its first revision with the source's own login."""
    return Rotating.serving()


def url_in_use(world: World) -> str:
    seen = world.observe()
    return seen.credentials(assign(seen, staged_of(seen)).active)["DATABASE_URL"]


def go_on(world: World, *, passes: int = 120, seconds: float | None = None) -> list[str]:
    decisions = live(world, passes=passes, seconds=lambda again: seconds or min(again or 30, 60))
    return [event.reason for decision in decisions for event in decision.events]


def due(world: World) -> None:
    world.now += timedelta(days=1, seconds=1)


def rotation(world: World) -> dict[str, Any]:
    return dict(world.status["rotation"]["database"])


def test_the_first_revision_uses_the_source_s_own_login(world: World) -> None:
    assert login_of(url_in_use(world)).role == "app"
    assert rotation(world)["state"] == "Current"
    assert rotation(world)["nextRotation"]


@pytest.mark.parametrize("compromised", [False, True])
def test_a_person_can_ask_for_a_rotation(world: World, *, compromised: bool) -> None:
    world.ask("rotate", secret="database", compromised=compromised)
    go_on(world)
    assert world.answer()["state"] == "Done"
    assert login_of(url_in_use(world)).role == "app_a"
    assert rotation(world)["version"] == 1
    assert not world.logs_in(SOURCE["DATABASE_URL"])


def test_a_request_without_alternating_roles_is_refused_with_the_fix(world: World) -> None:
    world.spec["database"]["rotation"] = {"mode": "None"}
    world.generation += 1
    world.ask("rotate", secret="database")
    go_on(world, passes=10)
    assert world.answer()["state"] == "Refused"
    assert "AlternatingRoles" in world.answer()["message"]


def test_a_rotation_that_is_due_ends_on_the_other_role_with_the_former_locked(world: World) -> None:
    due(world)
    go_on(world)
    login = login_of(url_in_use(world))
    assert login.role == "app_a"
    assert world.logs_in(url_in_use(world))
    assert world.database["app"][1] is False
    assert world.status["active"]["revision"] == 2
    assert rotation(world)["state"] == "Current"
    assert rotation(world)["version"] == 1
    due(world)
    go_on(world)
    assert login_of(url_in_use(world)).role == "app_b"
    assert world.database["app_a"][1] is False
    due(world)
    go_on(world)
    assert login_of(url_in_use(world)).role == "app_a"
    assert login_of(url_in_use(world)).password != login.password


@dataclass
class OnMariaDB(Rotating):
    """The same on MariaDB, where a role has the rights."""

    def __post_init__(self) -> None:
        self.spec["database"]["rotation"]["groupRole"] = "app_rights"
        self.source = {
            name: f"mariadb://{value.partition('://')[2].replace('@db/', '@db-1,db-2/')}?ssl-mode=VERIFY_CA"
            if name.startswith("DATABASE_")
            else value
            for name, value in (self.source or {}).items()
        }
        self.database["app_rights"] = ("", False)
        super().__post_init__()


def test_on_mariadb_it_is_the_same_and_the_address_keeps_its_hosts_and_options() -> None:
    world = OnMariaDB.serving()
    for role, former in (("app_a", "app"), ("app_b", "app_a")):
        due(world)
        go_on(world)
        assert login_of(url_in_use(world)).role == role
        assert world.logs_in(url_in_use(world))
        assert world.database[former][1] is False
    assert url_in_use(world).startswith("mariadb://app_b:")
    assert url_in_use(world).endswith("@db-1,db-2/payments?ssl-mode=VERIFY_CA")


def test_nothing_but_the_operator_s_own_secrets_hold_a_password(world: World) -> None:
    due(world)
    go_on(world)
    password = login_of(url_in_use(world)).password
    elsewhere = [key for key, item in world.objects.items() if key[0] != "Secret" and password in str(item)]
    assert password
    assert not elsewhere
    assert password not in str(world.status)


def test_the_rollback_works_while_the_former_role_is_kept(world: World) -> None:
    due(world)

    def kept() -> bool:
        return bool((world.status.get("previous") or {}).get("rollbackable") and world.status["stable"] == 2)

    live(world, passes=200, seconds=lambda again: min(again or 5, 5), until=kept)
    assert rotation(world)["state"] == "Retaining"
    world.ask("rollback")
    go_on(world, passes=40, seconds=1)
    assert login_of(url_in_use(world)).role == "app"
    assert world.logs_in(url_in_use(world))


def test_a_revision_with_a_locked_role_is_no_way_back(world: World) -> None:
    due(world)
    go_on(world)
    world.ask("rollback", 1)
    go_on(world, passes=5)
    assert world.answer()["state"] == "Refused"
    assert "is locked or has a new password" in world.answer()["message"]


def test_a_release_that_fails_leaves_the_former_login_and_the_next_rotation_mends_it(world: World) -> None:
    world.behave("registry/payments:1").exit_codes["smoke"] = 1
    due(world)
    go_on(world)
    assert login_of(url_in_use(world)).role == "app"
    assert world.logs_in(url_in_use(world))
    assert rotation(world)["state"] == "Failed"
    world.behave("registry/payments:1").exit_codes.clear()
    world.ask("retry")
    go_on(world)
    assert login_of(url_in_use(world)).role == "app_a"
    assert world.database["app"][1] is False


def test_a_database_that_does_not_answer_stops_nothing(world: World) -> None:
    world.database_answers = False
    due(world)
    go_on(world)
    assert world.status["active"]["revision"] == 1
    assert world.logs_in(url_in_use(world))
    world.database_answers = True
    go_on(world)
    assert login_of(url_in_use(world)).role == "app_a"


def test_a_record_that_is_deleted_is_made_again(world: World) -> None:
    due(world)
    go_on(world)
    before = url_in_use(world)
    world.remove(("Secret", names.database_roles("shop")))
    go_on(world, passes=20)
    assert url_in_use(world) == before
    assert world.status["active"]["revision"] == 2
    due(world)
    go_on(world)
    assert login_of(url_in_use(world)).role == "app_b"


def test_the_roles_that_administer_and_migrate_are_never_locked() -> None:
    world = Rotating()
    assert world.source is not None
    world.source |= {"DATABASE_URL": "postgresql://owner:owner-word@db/payments"}
    world.database["owner"] = ("owner-word", True)
    go_on(world, passes=40)
    due(world)
    told = go_on(world)
    assert login_of(url_in_use(world)).role == "app_a"
    assert world.database["owner"] == ("owner-word", True)
    assert "DatabaseRoleKept" in told


class Dying(Rotating):
    """The operator dies between the work on a role and its record, when told to."""

    dies = False

    def lose_half_way(self) -> None:
        if self.dies:
            self.dies = False
            raise Lost


class AnyCrash(RuleBasedStateMachine):
    """Rotations with an operator that dies anywhere, an API key that changes, releases and ways back."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Dying.serving()

    @rule(survives=st.integers(0, 8))
    def crash(self, survives: int) -> None:
        with pytest.raises(Lost):
            self.world.operate(survives=survives)

    @rule()
    def crash_half_way(self) -> None:
        self.world.dies = True
        with suppress(Lost):
            self.world.operate()
        self.world.dies = False

    @rule(passes=st.integers(1, 12), seconds=st.sampled_from([1, 10, 60]))
    def operate(self, passes: int, seconds: int) -> None:
        for _ in range(passes):
            with suppress(Conflict):
                self.world.operate()
            self.world.progress()
            self.world.now += timedelta(seconds=seconds)

    @rule(days=st.sampled_from([0.01, 1.1]))
    def time_passes(self, days: float) -> None:
        self.world.now += timedelta(days=days)

    @rule(verb=st.sampled_from(["rollback", "retry", "abort"]))
    def request(self, verb: str) -> None:
        self.world.ask(verb)

    @rule(what=st.sampled_from(["database", "database", "api-key"]))
    def leak(self, what: str) -> None:
        self.world.ask("rotate", secret=what, compromised=True)

    @rule(number=st.integers(1, 4), state=st.sampled_from(["Valid", "Valid", "Refused", "Unknown"]))
    def key(self, number: int, state: Any) -> None:
        assert self.world.source is not None
        key = f"sk_test_{number}"
        self.world.source["STRIPE_SECRET_KEY"] = key
        self.world.verdicts[key] = (state, "SomeReason")

    @rule(fails=st.booleans(), image=st.integers(1, 3))
    def image(self, fails: bool, image: int) -> None:  # noqa: FBT001 - drawn by hypothesis
        name = f"registry/payments:{image}"
        self.world.behave(name).exit_codes = {"smoke": 1} if fails else {}
        self.world.change(image=name)

    @rule(answers=st.booleans())
    def database(self, answers: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        self.world.database_answers = answers

    @invariant()
    def whoever_serves_can_log_in(self) -> None:
        seen = self.world.observe()
        roles = assign(seen, staged_of(seen))
        serving = [r for r in (roles.active, roles.previous) if r is not None and r.digest in seen.populated()]
        for revision in serving:
            assert self.world.logs_in(seen.credentials(revision)["DATABASE_URL"])

    def teardown(self) -> None:
        self.world.database_answers, self.world.verdicts = True, {}
        for behaviour in self.world.behaviours.values():
            behaviour.exit_codes = {}
        self.world.ask("retry")
        turns = Turns(self.world)
        for _ in range(300):
            with suppress(Conflict):
                turns.take()
            self.world.now += timedelta(seconds=30)
        record = self.world.observe().role_rotation
        if record is not None and self.world.status["rotation"]["database"]["state"] == "Current":
            logins = {role for role, (_, logs_in) in self.world.database.items() if logs_in}
            assert logins == {login_of(url_in_use(self.world)).role}


TestAnyCrash = AnyCrash.TestCase
TestAnyCrash.settings = settings(
    max_examples=examples(15),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

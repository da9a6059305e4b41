"""Whatever arrives in whatever order: no row goes back, and each ends as its object has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations, product
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_service.mirror.registry import KINDS
from payment_service.storage.mirror import NeedsFetch, Provenance, Seen, State, newest
from payment_service.storage.succession import CERTAIN_SECONDS, Course, Ended, Moment, is_newer

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW: Final = datetime(2026, 11, 30, tzinfo=UTC)
COURSE: Final = Course(Ended("status", frozenset({"over"})), lambda row: (row["attempts"],))
LONG: Final = CERTAIN_SECONDS + 100


class Told(NamedTuple):
    """What was so at a moment of an object's life, and which one that was."""

    number: int
    second: int
    columns: dict[str, Any]


class Mirror:
    """A row under test; it remembers of which moment it is, and how often that was asked for."""

    def __init__(self, life: Sequence[Told], *, created: bool = True) -> None:
        self.life = life
        self.created = created
        self.row: dict[str, Any] | None = None
        self.number = -1
        self.fetches = 0

    def arrive(self, told: Told, *, present: Told, reach: int = 0) -> None:
        """Apply an event; in doubt, fetch what is present, which may tell of all until `reach`."""
        first = self.created and told.number == 0
        moment = Moment.FIRST if first else Moment.THEN
        try:
            self._write(told, Provenance("evt_1", told.second, NOW, moment=moment))
        except NeedsFetch:
            assert self.row is not None
            self.fetches += 1
            seen = Seen(self.row["updated_at"], reach)
            self._write(present, Provenance("evt_1", told.second, NOW + timedelta(seconds=self.fetches), seen))

    def _write(self, told: Told, provenance: Provenance) -> None:
        change = newest(self.row, State(told.columns), provenance=provenance, course=COURSE)
        if change is None:
            return
        assert told.number >= self.number, "the row has gone back"
        self.row, self.number = {**(self.row or {}), **change.values}, told.number

    @property
    def shown(self) -> dict[str, Any]:
        """What the row says of the object."""
        assert self.row is not None
        return {name: self.row[name] for name in self.life[0].columns}


@st.composite
def lives(draw: st.DrawFn) -> list[Told]:
    """Draw the life of an object: few values, so that they come again, and many ties."""
    second, attempts, life = 1_000, 0, list[Told]()
    over = draw(st.integers(2, 8))
    for number in range(draw(st.integers(1, 7))):
        second += draw(st.sampled_from((0, 0, 0, 1, 3, 200, LONG)))
        attempts += draw(st.sampled_from((0, 0, 1)))
        status = "over" if number >= over else draw(st.sampled_from(("open", "late")))
        columns = {"status": status, "attempts": attempts, "name": draw(st.sampled_from("AB"))}
        life.append(Told(number, second, columns))
    return life


@given(life=lives(), created=st.booleans(), data=st.data())
def test_no_row_goes_back_and_each_ends_as_its_object_whatever_arrives_when(
    life: list[Told], *, created: bool, data: st.DataObject
) -> None:
    """Events come in any order, some twice; what is fetched was present at any moment from the newest of them on.

    Our clock says of it what Stripe's does, or 300 s more.
    """
    deliveries = data.draw(st.permutations(life + data.draw(st.lists(st.sampled_from(life), max_size=4))))
    mirror, latest = Mirror(life, created=created), 0
    for told in deliveries:
        latest = data.draw(st.integers(max(latest, told.number), len(life) - 1))
        present = life[latest]
        reach = present.second + data.draw(st.sampled_from((0, 2, 302)))
        mirror.arrive(told, present=present, reach=reach)
    assert mirror.shown == life[-1].columns


def state(number: int, name: str, *, second: int = 1, status: str = "open", attempts: int = 0) -> Told:
    return Told(number, second, {"status": status, "attempts": attempts, "name": name})


def fetches(*order: Told, life: Sequence[Told], created: bool = True) -> int:
    mirror = Mirror(life, created=created)
    for told in order:
        mirror.arrive(told, present=life[-1])
    assert mirror.shown == life[-1].columns
    return mirror.fetches


@pytest.mark.parametrize(("names", "created"), [*product(("ABA", "ABAB", "ABCB"), (True, False))])
def test_what_becomes_within_a_second_as_it_was_before_fools_no_rule(names: str, *, created: bool) -> None:
    life = [state(number, name) for number, name in enumerate(names)]
    for order in permutations(life):
        fetches(*order, life=life, created=created)


def test_the_creation_and_one_change_of_the_same_second_are_in_order_however_they_come() -> None:
    life = [state(0, "A"), state(1, "B")]
    assert [fetches(*order, life=life) for order in permutations(life)] == [0, 0]
    assert [fetches(*order, life=life, created=False) for order in permutations(life)] == [1, 1]


def test_an_end_and_a_count_put_a_second_in_order() -> None:
    life = [state(0, "A"), state(1, "A", attempts=1), state(2, "B", attempts=2), state(3, "B", status="over")]
    assert {fetches(*order, life=life, created=False) for order in permutations(life)} == {0}


def test_what_the_row_shows_already_costs_nothing() -> None:
    life = [state(0, "A"), state(1, "B", second=2), state(2, "B", second=2)]
    assert {fetches(*order, life=life) for order in permutations(life)} == {0}


def test_what_is_long_past_costs_nothing_and_what_may_be_is_fetched() -> None:
    for seconds, expected in ((CERTAIN_SECONDS, 1), (CERTAIN_SECONDS + 1, 0)):
        life = [state(0, "A", second=1), state(1, "B", second=1 + seconds)]
        assert fetches(life[1], life[0], life=life, created=False) == expected


def test_an_answer_may_be_newer_than_its_time_says() -> None:
    row = {"stripe_updated": 10_000, "status": "open", "attempts": 0, "name": "A"}
    shown = row | {"name": "B"}
    assert is_newer(row, shown, as_of=1, moment=Moment.SINCE, course=COURSE) is None
    assert is_newer(row, shown, as_of=1, moment=Moment.THEN, course=COURSE) is False


@pytest.mark.parametrize(("as_of", "row", "shown"), [(20_001, "over", "open"), (1, "open", "over")])
def test_a_time_and_a_course_that_contradict_each_other_are_no_answer(as_of: int, row: str, shown: str) -> None:
    stored = {"stripe_updated": 20_000, "status": row, "attempts": 0, "name": "A"}
    columns = {"status": shown, "attempts": 0, "name": "A"}
    assert is_newer(stored, columns, as_of=as_of, moment=Moment.THEN, course=COURSE) is None


def test_a_row_that_stripe_has_not_shown_yet_takes_a_creation() -> None:
    reserved = {"stripe_updated": 0, "status": "creating", "attempts": 0, "name": ""}
    assert is_newer(reserved, reserved | {"name": "A"}, as_of=1, moment=Moment.FIRST, course=COURSE) is True


def test_the_kinds_whose_creation_is_told_and_those_that_have_stages() -> None:
    """One that is added is decided on: whether its status, or anything else of it, can go back."""
    assert {name for name, kind in KINDS.items() if kind.creation is None} == {
        *("charge", "checkout.session", "invoice_payment", "payment_method"),
    }
    assert {name for name, kind in KINDS.items() if kind.stage is not None} == {"invoice"}

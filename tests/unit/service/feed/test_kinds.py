"""The catalogue of events: what an event is called, and that every kind of object has its events."""

from __future__ import annotations

import pytest

from payment_service.feed.catalogue import EventKind, Rule, differing, shown
from payment_service.feed.document import change_of, example, webhooks
from payment_service.feed.filters import OTHER_UPDATED
from payment_service.feed.kinds import BY_OBJECT_TYPE, KINDS
from payment_service.feed.states import Change
from payment_service.mirror.kind import IMPORT
from payment_service.mirror.registry import KINDS as MIRRORED

BY_NAME = {kind.name: kind for kind in KINDS}
TYPES = [pytest.param(kind, rule, id=f"{kind.name}.{rule.type}") for kind in KINDS for rule in kind.all_rules()]


def test_every_mirrored_kind_has_events() -> None:
    assert {kind.table.name for kind in MIRRORED.values()} - BY_OBJECT_TYPE.keys() == set()


@pytest.mark.parametrize(("kind", "rule"), TYPES)
def test_the_example_of_a_type_is_called_so(kind: EventKind, rule: Rule) -> None:
    cause = IMPORT if rule.type == "imported" else "evt_1"
    assert kind.type_of(change_of(kind, rule), cause=cause) == f"{kind.name}.{rule.type}"
    assert example(kind, rule).data.object is not None


def test_no_two_types_are_called_the_same() -> None:
    assert len(webhooks()) == len(TYPES) + len({OTHER_UPDATED})


def name(kind: str, before: dict[str, object] | None, after: dict[str, object]) -> str:
    sample = BY_NAME[kind].sample
    change = Change(None if before is None else {**sample, **before}, {**sample, **after})
    return BY_NAME[kind].type_of(change, cause="evt_1")


def test_what_is_seen_first_in_its_last_state_is_called_by_that() -> None:
    assert name("invoice", None, {"status": "paid"}) == "invoice.paid"
    assert name("invoice", None, {"status": "draft", "attempt_count": 0}) == "invoice.created"
    assert name("subscription", None, {"status": "canceled"}) == "subscription.canceled"
    assert name("subscription", None, {"status": "trialing"}) == "subscription.created"


def test_a_trial_that_ends_with_a_payment_is_an_update() -> None:
    assert name("subscription", {"status": "trialing"}, {"status": "active"}) == "subscription.updated"


def test_either_kind_of_pause_is_one() -> None:
    assert name("subscription", {}, {"status": "paused"}) == "subscription.paused"
    assert name("subscription", {"status": "paused"}, {}) == "subscription.resumed"


def test_what_is_removed_is_deleted() -> None:
    customer = BY_NAME["customer"]
    assert customer.type_of(Change(dict(customer.sample), None), cause="lpo_1") == "customer.deleted"


def test_only_members_of_the_api_are_told_as_different() -> None:
    kind = BY_NAME["customer"]
    before = shown(kind, {**kind.sample, "email": "a@example.com", "address_key": "a@example.com"})
    after = shown(kind, {**kind.sample, "email": "b@example.com", "address_key": "b@example.com"})
    assert differing(before, after) == {"email": "a@example.com"}
    assert differing(None, after) is None

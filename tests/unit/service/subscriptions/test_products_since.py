"""Since when a subscription has each of its products."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import create_engine, insert, select

from payment_service.mirror.joining import first_seen, seen_again
from payment_service.storage.tables import subscriptions

NOW = datetime(2026, 11, 29, tzinfo=UTC)
EARLIER = datetime(2026, 1, 1, tzinfo=UTC)


def row(*products: str, **values: Any) -> dict[str, Any]:
    """Return a row with these products, as the database gives it."""
    engine = create_engine("sqlite://")
    subscriptions.create(engine)
    held = {
        "id": "lps_1",
        "price_id": "p",
        "exclusive": True,
        "metadata": {},
        "livemode": False,
        "operation_id": "lpo_1",
        "items": [{"product_id": name} for name in products],
        "product_id": products[0],
        "status": "active",
    }
    times = {"created_at": EARLIER, "updated_at": EARLIER}
    with engine.begin() as connection:
        connection.execute(insert(subscriptions).values(held | times | values))
        found = connection.execute(select(subscriptions)).one()
    engine.dispose()
    return found._asdict()


def test_one_that_is_seen_first_was_made_with_its_products() -> None:
    seen = first_seen({"a", "b"}, now=NOW, imported=False, restored=False)
    assert seen == {"joined": {"a": None, "b": None}, "joined_at": NOW}


def test_what_the_account_brings_with_it_is_not_looked_at() -> None:
    for restored in (False, True):  # a new database of an account with subscriptions that were ordered here
        seen = first_seen({"a"}, now=NOW, imported=True, restored=restored)
        assert seen == {"joined": {"a": None}, "joined_at": None}


def test_one_that_a_restored_dump_has_lost_joins_now() -> None:
    seen = first_seen({"a"}, now=NOW, imported=False, restored=True)
    assert seen["joined"] == {"a": NOW.timestamp()}


def test_a_product_that_stays_keeps_its_moment_and_one_that_comes_gets_it() -> None:
    seen = seen_again(row("a", "b", joined={"a": None, "b": 5.0}), {"b", "c"}, status="active", now=NOW)
    assert seen == {"joined": {"b": 5.0, "c": NOW.timestamp()}, "joined_at": NOW}


def test_a_change_of_anything_else_changes_no_moment() -> None:
    seen = seen_again(row("a", joined={"a": None}, joined_at=EARLIER), {"a"}, status="past_due", now=NOW)
    assert seen == {"joined": {"a": None}, "joined_at": EARLIER}


def test_a_row_of_an_earlier_version_was_made_with_what_it_has() -> None:
    assert seen_again(row("a"), {"a"}, status="active", now=NOW) == {"joined": {"a": None}, "joined_at": None}
    assert seen_again(row("a"), {"b"}, status="active", now=NOW) == {"joined": {"b": NOW.timestamp()}, "joined_at": NOW}


def test_a_switch_that_an_earlier_version_wrote_counts_from_the_next_write_on() -> None:
    seen = seen_again(row("b", joined={"a": None}), {"b"}, status="active", now=NOW)
    assert seen == {"joined": {"b": NOW.timestamp()}, "joined_at": NOW}


def test_one_made_elsewhere_joins_when_it_comes_alive_and_ours_when_it_was_ordered() -> None:
    for operation_id, since in ((None, NOW.timestamp()), ("lpo_1", None)):
        before = row("a", joined={"a": None}, status="incomplete", operation_id=operation_id)
        assert seen_again(before, {"a"}, status="active", now=NOW)["joined"] == {"a": since}

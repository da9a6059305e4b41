"""What a preview's fingerprint binds: the change, the second, the expiry and everything that is due."""

from __future__ import annotations

from typing import Any

import pytest

from payment_service.config.secrets import Secret
from payment_service.stripe_api.change_calls import ChangeTerms
from payment_service.stripe_api.objects import read
from payment_service.subscriptions.pricing import Invoice, Preview, PreviewOutdated, Quote, Seals, digest, quote_of

TERMS = ChangeTerms(
    subscription="sub_1", item="si_1", price="price_2", quantity=2, behavior="always_invoice", at=100, period_end=900
)
KEY = "key-of-previews-" * 2
SEALS = Seals(Secret(KEY))


def line(amount: int, *, proration: bool, start: int = 100) -> dict[str, Any]:
    details = {"subscription_item_details": {"proration": proration}}
    return {"amount": amount, "period": {"start": start, "end": 900}, "parent": details}


def usage(price: str, *, start: int = 100) -> dict[str, Any]:
    return line(700, proration=False, start=start) | {"pricing": {"price_details": {"price": price}}}


def quote(*lines: dict[str, Any], terms: ChangeTerms = TERMS, due: int | None = None, **more: Any) -> Quote:
    total = sum(one["amount"] for one in lines)
    shown = {
        "currency": "usd",
        "total": total,
        "amount_due": max(0, total) if due is None else due,
        "lines": {"data": lines},
    }
    return quote_of(read(shown | more, Invoice), terms)


CREDIT, REST = line(-300, proration=True), line(900, proration=True)
NEXT = line(5800, proration=False, start=900)
RESTARTED = line(29000, proration=False, start=100)
SAID = quote(CREDIT, REST)


@pytest.mark.parametrize(
    ("found", "behavior", "due_now"),
    [
        ((CREDIT, REST), "always_invoice", 600),
        ((CREDIT, REST, NEXT), "create_prorations", 0),
        ((NEXT,), "none", 0),
        ((NEXT,), "always_invoice", 0),
        ((CREDIT, RESTARTED), "create_prorations", 28700),
        ((RESTARTED,), "none", 29000),
    ],
)
def test_what_begins_or_is_settled_at_once_is_due_now(found: Any, behavior: str, due_now: int) -> None:
    assert quote(*found, terms=TERMS._replace(behavior=behavior)).due_now == due_now


APART = line(500, proration=False) | {"parent": {"invoice_item_details": {"proration": False}}}
METERED = TERMS._replace(price="price_metered", quantity=None)


@pytest.mark.parametrize(
    ("found", "terms"),
    [
        ((usage("price_1"), NEXT), TERMS),
        ((usage("price_metered"), NEXT), METERED),
        ((line(700, proration=False, start=99), NEXT), TERMS._replace(at=100 + 3600)),
        ((APART, NEXT), TERMS),
    ],
    ids=["usage-of-the-former-price", "usage-of-the-price", "usage-of-earlier", "an-item-by-itself"],
)
def test_what_the_next_invoice_holds_of_this_period_is_not_due_now(found: Any, terms: ChangeTerms) -> None:
    said = quote(*found, terms=terms._replace(behavior="create_prorations"))
    assert (said.due_now, said.at_once, said.restarts) == (0, False, False)


def test_a_fingerprint_holds_for_what_it_was_made_of() -> None:
    made = SEALS.seal(TERMS, SAID, expires=700)
    assert SEALS.open(made) == Preview(100, 700, digest(TERMS, SAID))


@pytest.mark.parametrize("changed", [1, 2, 3, 4])
def test_no_part_of_a_fingerprint_can_be_another(changed: int) -> None:
    parts = SEALS.seal(TERMS, SAID, expires=700).split("_")
    parts[changed] = parts[changed].translate(str.maketrans("0123456789abcdef", "123456789abcdef0"))
    with pytest.raises(PreviewOutdated):
        SEALS.open("_".join(parts))


@pytest.mark.parametrize(
    ("terms", "found"),
    [
        (TERMS._replace(subscription="sub_2"), SAID),
        (TERMS._replace(price="price_3"), SAID),
        (TERMS._replace(quantity=3), SAID),
        (TERMS._replace(behavior="none"), SAID),
        (TERMS._replace(at=101), SAID),
        (TERMS._replace(trial_end="now"), SAID),
        (TERMS._replace(trial_end=900), SAID),
        (TERMS, quote(CREDIT, line(901, proration=True))),
        (TERMS, quote(line(-301, proration=True), line(901, proration=True))),
        (TERMS, quote(CREDIT, REST, due=500)),
        (TERMS, quote(CREDIT, REST, currency="eur")),
    ],
)
def test_a_fingerprint_holds_for_nothing_else(terms: ChangeTerms, found: Quote) -> None:
    assert digest(TERMS, SAID) != digest(terms, found)


def test_what_the_next_invoice_holds_beside_the_change_may_move() -> None:
    terms = TERMS._replace(behavior="create_prorations")
    seen = digest(terms, quote(CREDIT, REST, NEXT, terms=terms))
    usage = line(17, proration=False, start=900)
    assert seen == digest(terms, quote(CREDIT, REST, NEXT, usage, terms=terms))


def test_a_fingerprint_outlives_the_key_that_it_was_made_with_for_as_long_as_that_is_kept() -> None:
    made = SEALS.seal(TERMS, SAID, expires=700)
    assert Seals(Secret(f"{'key-of-others---' * 2},{KEY}")).open(made).at == TERMS.at
    with pytest.raises(PreviewOutdated):
        Seals(Secret("key-of-nobody---" * 2)).open(made)

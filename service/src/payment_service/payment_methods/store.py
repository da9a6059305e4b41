"""SQL of payment methods and setup intents."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import and_, bindparam, select, update

from payment_service.http import paging
from payment_service.mirror.payment_method import payment_methods
from payment_service.mirror.setup_intent import setup_intents
from payment_service.payment_methods.schemas import (
    AddressView,
    BillingDetailsView,
    CardView,
    PaymentMethodView,
    SetupIntentView,
)
from payment_service.storage.tables import customers, operations
from payment_service.stripe_api.metadata import of_caller

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    StoredRow = Row[*tuple[object, ...]]

_METHODS: Final = select(
    payment_methods,
    customers.c.id.label("customer_id"),
    (customers.c.default_payment_method_id == payment_methods.c.id).label("is_default"),
).select_from(
    payment_methods.outerjoin(
        customers,
        and_(customers.c.stripe_customer_id == payment_methods.c.stripe_customer_id, ~customers.c.deleted),
    )
)
_METHOD: Final = _METHODS.where(
    payment_methods.c.id == bindparam("id"), payment_methods.c.livemode == bindparam("livemode")
)
_CARD: Final = select(payment_methods.c.card).where(
    payment_methods.c.id == bindparam("id"),
    payment_methods.c.stripe_customer_id == bindparam("customer"),
    payment_methods.c.livemode == bindparam("livemode"),
    payment_methods.c.type == "card",
)
_ATTACHED: Final = select(payment_methods.c.id).where(payment_methods.c.stripe_customer_id == bindparam("customer"))
_SETUP: Final = (
    select(setup_intents, customers.c.id.label("customer_id"))
    .select_from(
        setup_intents.outerjoin(customers, customers.c.stripe_customer_id == setup_intents.c.stripe_customer_id)
    )
    .where(setup_intents.c.id == bindparam("id"), setup_intents.c.livemode == bindparam("livemode"))
)
_LISTED: Final = (
    update(customers)
    .where(customers.c.stripe_customer_id == bindparam("customer"))
    .values(payment_methods_at=bindparam("at"))
)
_MAKERS: Final = select(operations.c.mark, operations.c.principal, operations.c.facts).where(
    operations.c.finished,
    operations.c.personal_id.is_(None),
    operations.c.facts["customer_id"]
    .as_string()
    .in_(
        select(customers.c.id).where(customers.c.stripe_customer_id.in_(bindparam("stripe_customers", expanding=True)))
    ),
    operations.c.mark.in_(bindparam("marks", expanding=True)),
)
"""By the index of the customer's operations, of which there are few."""
_ORDERS_OF: Final = tuple(
    select(
        operations.c.principal,
        operations.c.facts,
        operations.c.response_status,
        operations.c.created_at,
        customers.c.stripe_customer_id,
    )
    .join_from(operations, customers, operations.c.facts["customer_id"].as_string() == customers.c.id)
    .where(
        customers.c.stripe_customer_id.in_(bindparam("stripe_customers", expanding=True)),
        operations.c.kind == "create_subscription",
        operations.c.created_at >= bindparam("since"),
        condition,
    )
    for condition in (and_(operations.c.finished, operations.c.personal_id.is_(None)), ~operations.c.finished)
)
"""By the index of the customer's operations, and by that of the unfinished ones, of which there are few."""
_REFUSED: Final = 400
_SKEW_SECONDS: Final = 300
"""How far Stripe's clock may be from ours."""
_ORDER: Final = paging.Order(
    noun="payment method",
    key=(payment_methods.c.created_at, payment_methods.c.id),
    ids=(payment_methods.c.id,),
    created=payment_methods.c.created_at,
)


class Maker(NamedTuple):
    """Who asked for what hands a client secret out, and for whom."""

    principal: str
    end_user: str | None
    """A fingerprint of the end user's address."""


class Order(NamedTuple):
    """A subscription that was asked for here."""

    maker: Maker
    secret: bool
    """Whether it was answered with the subscription, which a browser may have to pay; else not, or not yet."""
    payment_method: str | None
    """What its operation charges itself, as Stripe names it."""
    at: float
    """When it was asked for, with some margin, in seconds."""

    def was_paid_at(self, moment: float, *, within: float) -> bool:
        """Tell whether a payment at `moment` may be its first, which is waited for so many seconds."""
        return self.at <= moment <= self.at + within + 2 * _SKEW_SECONDS


async def get(connection: AsyncConnection, method_id: str, *, livemode: bool) -> StoredRow | None:
    """Return a payment method, a detached one too."""
    return (await connection.execute(_METHOD, {"id": method_id, "livemode": livemode})).first()


async def get_setup_intent(connection: AsyncConnection, setup_intent_id: str, *, livemode: bool) -> StoredRow | None:
    """Return a setup intent."""
    return (await connection.execute(_SETUP, {"id": setup_intent_id, "livemode": livemode})).first()


async def find_makers(
    connection: AsyncConnection, *, marks: Collection[str], stripe_customers: Collection[str]
) -> dict[str | None, Maker]:
    """Return who asked for what was made under these marks for these customers, as long as its key is kept."""
    if not marks or not stripe_customers:
        return {}
    values = {"marks": sorted(marks), "stripe_customers": sorted(stripe_customers)}
    rows = await connection.execute(_MAKERS, values)
    return {row.mark: Maker(row.principal, row.facts.get("end_user")) for row in rows}


async def find_orders(
    connection: AsyncConnection, stripe_customers: Collection[str], *, since: float
) -> dict[str, list[Order]]:
    """Return the subscriptions that were asked for since a moment for these customers, by Stripe's id of each."""
    found: dict[str, list[Order]] = {}
    if not stripe_customers:
        return found
    moment = datetime.fromtimestamp(since - _SKEW_SECONDS, tz=UTC)
    for statement in _ORDERS_OF:
        for row in await connection.execute(statement, {"stripe_customers": sorted(stripe_customers), "since": moment}):
            order = Order(
                Maker(row.principal, row.facts.get("end_user")),
                row.response_status is not None and row.response_status < _REFUSED,
                row.facts.get("payment_method"),
                row.created_at.timestamp() - _SKEW_SECONDS,
            )
            found.setdefault(row.stripe_customer_id, []).append(order)
    return found


async def list_page(
    connection: AsyncConnection, *, livemode: bool, page: paging.Page, customer_id: str | None, kind: str | None
) -> tuple[Sequence[StoredRow], bool]:
    """Return a page of what customers have now, newest first, and whether there are more.

    Args:
        connection: to read from.
        livemode: of the account.
        page: that was asked for.
        customer_id: our id of the customer; None: of all.
        kind: Stripe's type; None: all.

    Raises:
        UnknownCursor: the page is to begin at no payment method.
    """
    statement = _METHODS.where(~payment_methods.c.detached)
    if customer_id is not None:
        statement = statement.where(customers.c.id == customer_id)
    if kind is not None:
        statement = statement.where(payment_methods.c.type == kind)
    among = (payment_methods.c.livemode == livemode,)
    rows, more = await paging.read_page(connection, statement, order=_ORDER, page=page, among=among)
    return rows, more


async def card_of(
    connection: AsyncConnection, method_id: str, *, stripe_customer_id: str, livemode: bool
) -> str | None:
    """Return Stripe's fingerprint of a card that this customer has, as far as it is known here; None: it is not."""
    wanted = {"id": method_id, "customer": stripe_customer_id, "livemode": livemode}
    card: dict[str, str | None] | None = (await connection.execute(_CARD, wanted)).scalar_one_or_none()
    return card.get("fingerprint") if card else None


async def attached_to(connection: AsyncConnection, stripe_customer_id: str) -> set[str]:
    """Return the ids of what a customer has, as far as it is known here."""
    found = (await connection.execute(_ATTACHED, {"customer": stripe_customer_id})).scalars()
    return set(map(str, found))


async def note_listed(connection: AsyncConnection, stripe_customer_id: str, *, at: datetime) -> None:
    """Note that all that a customer has is here from `at` on."""
    await connection.execute(_LISTED, {"customer": stripe_customer_id, "at": at})


def to_view(row: StoredRow) -> PaymentMethodView:
    """Build the public view of a row."""
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for the row as a mapping
    details: dict[str, Any] = values["billing_details"]
    address = details.get("address")
    return PaymentMethodView(
        id=values["id"],
        customer_id=values["customer_id"],
        stripe_customer_id=values["stripe_customer_id"],
        type=values["type"],
        is_default=bool(values["is_default"]),
        detached=values["detached"],
        card=CardView(**_members(CardView, values["card"])) if values["card"] else None,
        billing_details=BillingDetailsView(
            **_members(BillingDetailsView, details)
            | {"address": AddressView(**_members(AddressView, address)) if address else None}
        )
        if details
        else None,
        allow_redisplay=values["allow_redisplay"],
        metadata=of_caller(values["metadata"]),
        livemode=values["livemode"],
        created_at=values["created_at"],
        as_of=values["updated_at"],
    )


def to_setup_intent_view(row: StoredRow) -> SetupIntentView:
    """Build the public view of a row."""
    return SetupIntentView(**setup_intent_members(row))


def setup_intent_members(row: StoredRow) -> dict[str, Any]:
    """Return the members of the public view of a row."""
    values = row._mapping  # noqa: SLF001 - see to_view
    ours = {"as_of": values["updated_at"], "metadata": of_caller(values["metadata"])}
    return {name: ours.get(name, values.get(name)) for name in SetupIntentView.__struct_fields__}


def _members(kind: type[CardView | BillingDetailsView | AddressView], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a view, null where the row has none: another version may have written it."""
    return {name: stored.get(name) for name in kind.__struct_fields__}

"""SQL of subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, or_, select

from payment_service.http.paging import Order, read_page
from payment_service.storage.tables import subscriptions
from payment_service.subscriptions.answers import answer_of
from payment_service.subscriptions.schemas import CreatedSubscription, PauseCollection, SubscriptionView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.http.paging import Page
    from payment_service.json_types import JsonObject
    from payment_service.storage.rows import SubscriptionRow

_BY_ID: Final = select(subscriptions).where(
    subscriptions.c.livemode == bindparam("livemode"),
    or_(subscriptions.c.id == bindparam("id"), subscriptions.c.stripe_subscription_id == bindparam("id")),
)
_ORDER: Final = Order(
    noun="subscription",
    key=(subscriptions.c.created_at, subscriptions.c.id),
    ids=(subscriptions.c.id, subscriptions.c.stripe_subscription_id),
    created=subscriptions.c.created_at,
)


async def get(connection: AsyncConnection, subscription_id: str, *, livemode: bool) -> SubscriptionRow | None:
    """Return a subscription by our id or Stripe's."""
    return (await connection.execute(_BY_ID, {"id": subscription_id, "livemode": livemode})).first()


async def list_page(
    connection: AsyncConnection,
    *,
    livemode: bool,
    customer_id: str | None,
    page: Page,
    **exact: str | None,
) -> tuple[Sequence[SubscriptionRow], bool]:
    """Return a page of subscriptions, newest first, and whether there are more.

    Args:
        connection: to read from.
        livemode: of the account.
        customer_id: our id of the customer, or Stripe's.
        page: that was asked for.
        exact: further columns and the values that they must have, if any.

    Raises:
        UnknownCursor: the page is to begin at no subscription.
    """
    statement = select(subscriptions)
    if customer_id is not None:
        of_stripe = customer_id.startswith("cus_")
        column = subscriptions.c.stripe_customer_id if of_stripe else subscriptions.c.customer_id
        statement = statement.where(column == customer_id)
    for name, value in exact.items():
        if value is not None:
            statement = statement.where(subscriptions.c[name] == value)
    among = (subscriptions.c.livemode == livemode, subscriptions.c.stripe_subscription_id.is_not(None))
    rows, more = await read_page(connection, statement, order=_ORDER, page=page, among=among)
    return rows, more


def to_view(row: SubscriptionRow) -> SubscriptionView:
    """Build the public view of a row."""
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for the row as a mapping
    shown = {name: values[name] for name in SubscriptionView.__struct_fields__ if name != "pause_collection"}
    pause = None
    if row.pause_behavior is not None:
        pause = PauseCollection(behavior=row.pause_behavior, resumes_at=row.pause_resumes_at)
    return SubscriptionView(**shown, pause_collection=pause)


def to_created(row: SubscriptionRow, obj: JsonObject, *, customer_id: str) -> CreatedSubscription:
    """Build the answer to create-subscription of a row and Stripe's object, which holds the client secret."""
    secret, kind = answer_of(obj).client_secret
    ours = {"customer_id": customer_id, "client_secret": secret, "client_secret_kind": kind}
    values = {**row._mapping, **ours}  # noqa: SLF001 - see to_view
    return CreatedSubscription(**{name: values[name] for name in CreatedSubscription.__struct_fields__})

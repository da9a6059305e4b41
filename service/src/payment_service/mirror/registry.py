"""The kinds of objects that have rows here: a new one is its module, its line here and a migration."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from payment_service.mirror import (
    charge,
    checkout_session,
    customer,
    dispute,
    invoice,
    invoice_payment,
    payment_intent,
    payment_method,
    price,
    product,
    refund,
    setup_intent,
    subscription,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from payment_service.mirror.kind import Kind

_REGISTERED: Final = {
    kind.name: kind
    for kind in (
        customer.KIND,
        product.KIND,
        price.KIND,
        subscription.KIND,
        invoice.KIND,
        invoice_payment.KIND,
        payment_intent.KIND,
        setup_intent.KIND,
        payment_method.KIND,
        charge.KIND,
        refund.KIND,
        dispute.KIND,
        checkout_session.KIND,
    )
}
KINDS: Final[Mapping[str, Kind]] = MappingProxyType(_REGISTERED)
"""By the object's `object` member. Rows are locked in this order, so that two workers never wait for each other, and
a sweep walks in it: so it is read-only, for what is taken out and put back stands last."""


def event_types() -> tuple[str, ...]:
    """Return the events that Stripe has to send: all that tell of an object which is mirrored here.

    An endpoint with `*` works too; what tells of other objects is kept and not applied. Not among them are
    `invoice.upcoming`, whose invoice does not exist yet, and `charge.refund.updated`, which tells what `refund.updated`
    does.
    """
    return tuple(sorted(name for kind in KINDS.values() for name in kind.events))


def label_of(event_type: str) -> str:
    """Return the value of a metric's label: an event says any type that it likes, and a label is never forgotten."""
    known = any(event_type in kind.events for kind in KINDS.values())
    return event_type if known else "other"


def guarding() -> tuple[str, ...]:
    """Return the names of the kinds that the guards of a creation look at."""
    return tuple(kind.name for kind in KINDS.values() if kind.guards)

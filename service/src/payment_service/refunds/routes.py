"""Routes of refunds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body

from payment_service.http.body import JsonBody
from payment_service.http.openapi import WRITING, IdempotencyKeyHeader, problems
from payment_service.http.route_access import WRITE
from payment_service.operations.requests import Caller, bind_key, to_response
from payment_service.refunds.schemas import CreateRefund, RefundView
from payment_service.refunds.service import Refunds

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler

NO_LIMIT: Final = "money goes back to who paid, at most what was paid: no card is tried"
_EXAMPLE: Final = {"payment_id": "pi_3MtwBwLkdIwHu7ix28a3tqPa", "amount": 500, "reason": "requested_by_customer"}


@post(
    "/api/v1/refunds",
    operation_id="createRefund",
    access=WRITE.uncounted(NO_LIMIT),
    summary="Refund a payment",
    tags=["refunds"],
    dto=JsonBody[CreateRefund],
    return_dto=None,
    status_code=201,
    responses={
        201: ResponseSpec(RefundView, description="Created at Stripe and recorded", generate_examples=False),
        **problems(*WRITING),
    },
)
async def create_refund(
    data: Annotated[CreateRefund, Body(examples=[Example(summary="A part of a payment", value=_EXAMPLE)])],
    caller: NamedDependency[Caller],
    refunds: NamedDependency[Refunds],
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """Give money of a payment back, all that is left of it or a part; never more than was paid.

    `status` is `pending` for payment methods that take days; a refund that fails later is told by the feed
    (`refund.failed`). A payment that failed, is not captured, is disputed or wholly refunded is 409
    `payment_not_refundable`, an amount above what is left is 422; both say `amount_refundable`.
    """
    return to_response(await refunds.create(data, caller=caller, key=bind_key(caller, data)))


HANDLERS: list[ControllerRouterHandler] = [create_refund]

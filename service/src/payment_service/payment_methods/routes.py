"""Routes of payment methods and setup intents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, PathParameter, QueryParameter

from payment_service.errors import Unprocessable
from payment_service.http.body import JsonBody
from payment_service.http.id_types import CUSTOMER, LINE, MAXIMUM_CHARACTERS, METHOD_TYPE, PAYMENT_METHOD, SETUP_INTENT
from payment_service.http.openapi import READING, WRITING, EndUserAddressHeader, IdempotencyKeyHeader, problems
from payment_service.http.paging import Page
from payment_service.http.route_access import CREATES_NOTHING, READ, SETUP_LIMIT, WRITE
from payment_service.operations.requests import Caller, bind_key, to_response
from payment_service.payment_methods.schemas import (
    CreatedSetupIntent,
    CreateSetupIntent,
    DetachPaymentMethod,
    PaymentMethodList,
    PaymentMethodView,
    SetDefaultPaymentMethod,
    SetupIntentView,
)
from payment_service.payment_methods.service import PaymentMethods
from payment_service.stripe_api.reads import Asker

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler

_EXAMPLE = {"customer_reference": "user-1815"}
_DETACH: Final = DetachPaymentMethod()
_SET_DEFAULT: Final = SetDefaultPaymentMethod()
"""What an absent body says."""
PaymentMethodPath = Annotated[
    str,
    PathParameter(
        pattern=PAYMENT_METHOD,
        max_length=MAXIMUM_CHARACTERS,
        description="Stripe's id of the payment method (`pm_…`, of old `card_…` or `src_…`).",
    ),
]


@post(
    "/api/v1/setup-intents",
    operation_id="createSetupIntent",
    access=WRITE.counted(SETUP_LIMIT),
    summary="Begin to save a payment method",
    tags=["payment methods"],
    dto=JsonBody[CreateSetupIntent],
    return_dto=None,
    status_code=201,
    responses={
        201: ResponseSpec(CreatedSetupIntent, description="Created at Stripe and recorded", generate_examples=False),
        **problems(*WRITING),
    },
)
async def create_setup_intent(
    data: Annotated[CreateSetupIntent, Body(examples=[Example(summary="By your own id", value=_EXAMPLE)])],
    caller: NamedDependency[Caller],
    payment_methods: NamedDependency[PaymentMethods],
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
    end_user_address: EndUserAddressHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """Create a setup intent: with its client secret the customer saves a payment method by Stripe.js."""
    return to_response(await payment_methods.create_setup_intent(data, caller=caller, key=bind_key(caller, data)))


@get(
    "/api/v1/setup-intents/{setup_intent_id:str}",
    operation_id="getSetupIntent",
    access=READ,
    summary="Read a setup intent",
    tags=["payment methods"],
    responses=problems(*READING, 404),
)
async def get_setup_intent(
    setup_intent_id: Annotated[
        str,
        PathParameter(
            pattern=SETUP_INTENT,
            max_length=MAXIMUM_CHARACTERS,
            description="Stripe's id of the setup intent (`seti_…`).",
        ),
    ],
    payment_methods: NamedDependency[PaymentMethods],
) -> SetupIntentView:
    """Return a setup intent as last heard from Stripe, without its client secret."""
    return await payment_methods.get_setup_intent(setup_intent_id)


@get(
    "/api/v1/payment-methods",
    operation_id="listPaymentMethods",
    access=READ,
    summary="List payment methods",
    tags=["payment methods"],
    responses=problems(*READING, 502, 504),
)
async def list_payment_methods(
    *,
    payment_methods: NamedDependency[PaymentMethods],
    page: NamedDependency[Page],
    asker: NamedDependency[Asker],
    customer_id: Annotated[
        str | None,
        QueryParameter(
            pattern=CUSTOMER,
            max_length=MAXIMUM_CHARACTERS,
            description="Only this customer's, all of them (`lpc_…` or `cus_…`).",
        ),
    ] = None,
    customer_reference: Annotated[
        str | None,
        QueryParameter(description="Only this customer's, by your own id.", min_length=1, max_length=255, pattern=LINE),
    ] = None,
    method_type: Annotated[
        str | None,
        QueryParameter(
            name="type", pattern=METHOD_TYPE, max_length=64, description="Only of this type, as `card` or `sepa_debit`."
        ),
    ] = None,
) -> PaymentMethodList:
    """Return a page of what customers have saved, newest first, as last heard from Stripe; detached ones are left out.

    Without a customer these are the ones that events or a list of their customer have told of.
    """
    if customer_id is not None and customer_reference is not None:
        message = "give either customer_id or customer_reference"
        errors = [{"field": "customer_reference", "message": message}]
        raise Unprocessable(f"customer_reference: {message}", errors=errors)
    return await payment_methods.list(
        page=page, asker=asker, customer_id=customer_id, customer_reference=customer_reference, kind=method_type
    )


@get(
    "/api/v1/payment-methods/{payment_method_id:str}",
    operation_id="getPaymentMethod",
    access=READ,
    summary="Read a payment method",
    tags=["payment methods"],
    responses=problems(*READING, 404, 502, 504),
)
async def get_payment_method(
    payment_method_id: PaymentMethodPath,
    payment_methods: NamedDependency[PaymentMethods],
    asker: NamedDependency[Asker],
) -> PaymentMethodView:
    """Return a payment method as last heard from Stripe."""
    return await payment_methods.get(payment_method_id, asker=asker)


@post(
    "/api/v1/payment-methods/{payment_method_id:str}/set-default",
    operation_id="setDefaultPaymentMethod",
    access=WRITE.uncounted(CREATES_NOTHING),
    summary="Make a payment method its customer's default",
    tags=["payment methods"],
    dto=JsonBody[SetDefaultPaymentMethod],
    return_dto=None,
    status_code=200,
    responses={
        200: ResponseSpec(PaymentMethodView, description="Its state after the call", generate_examples=False),
        **problems(*WRITING),
    },
)
async def set_default_payment_method(
    payment_method_id: PaymentMethodPath,
    caller: NamedDependency[Caller],
    payment_methods: NamedDependency[PaymentMethods],
    data: Annotated[SetDefaultPaymentMethod, Body(examples=[Example(summary="Nothing", value={})])] = _SET_DEFAULT,
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """Let invoices of its customer be paid with it, where a subscription names no other."""
    return to_response(await payment_methods.set_default(payment_method_id, caller=caller, key=bind_key(caller, data)))


@post(
    "/api/v1/payment-methods/{payment_method_id:str}/detach",
    operation_id="detachPaymentMethod",
    access=WRITE.uncounted(CREATES_NOTHING),
    summary="Detach a payment method",
    tags=["payment methods"],
    dto=JsonBody[DetachPaymentMethod],
    return_dto=None,
    status_code=200,
    responses={
        200: ResponseSpec(PaymentMethodView, description="Its state after the call", generate_examples=False),
        **problems(*WRITING),
    },
)
async def detach_payment_method(
    payment_method_id: PaymentMethodPath,
    caller: NamedDependency[Caller],
    payment_methods: NamedDependency[PaymentMethods],
    data: Annotated[DetachPaymentMethod, Body(examples=[Example(summary="Nothing", value={})])] = _DETACH,
    idempotency_key: IdempotencyKeyHeader = None,  # noqa: ARG001 - documented here, read by `caller`
) -> Response[bytes]:
    """Take a payment method from its customer for good: nothing can be paid with it any more, by nobody."""
    return to_response(await payment_methods.detach(payment_method_id, caller=caller, key=bind_key(caller, data)))


HANDLERS: list[ControllerRouterHandler] = [
    create_setup_intent,
    get_setup_intent,
    list_payment_methods,
    get_payment_method,
    set_default_payment_method,
    detach_payment_method,
]

"""The operations on customers, money and the account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stripe_simulator.errors import DECLINED, StripeFault
from stripe_simulator.listing import in_range, page

if TYPE_CHECKING:
    from collections.abc import Callable

    from stripe_simulator.routes import Call, Table
    from stripe_simulator.world import World

PAGING = "limit starting_after ending_before expand created"
METHODS = "limit starting_after ending_before expand"
"""Lists of payment methods have no filter of time (docs.stripe.com/api/payment_methods/customer_list)."""
_CUSTOMER = (
    "address balance description email invoice_settings metadata name payment_method phone preferred_locales shipping "
    "tax_exempt"
)
_INTENT = "amount currency customer description metadata payment_method receipt_email setup_future_usage"
_INTENT_CREATE = (
    f"{_INTENT} automatic_payment_methods capture_method confirm off_session payment_method_types return_url"
)
_SETUP = "customer description metadata payment_method payment_method_types"
_ENDPOINT = "url enabled_events description metadata"


def add(table: Table, world: World) -> None:
    """Add them to the table."""
    _customers(table, world)
    _methods(table, world)
    _intents(table, world)
    _setups(table, world)
    _charges(table, world)
    _events(table, world)
    _account(table, world)


def lister(
    world: World, kind: str, collection: str, names: str = ""
) -> tuple[str, str, Callable[[Call], dict[str, Any]], str]:
    """Return the operation that lists a kind, filtered by equal members and `created`."""
    filters = names.split()

    def answer(call: Call) -> dict[str, Any]:
        within = in_range(call.params)
        wanted = {name: call.params[name] for name in filters if call.params.get(name)}

        def keep(obj: dict[str, Any]) -> bool:
            return within(obj) and all(obj[name] == value for name, value in wanted.items())

        return page(world.state, kind, call.params, url=f"/v1/{collection.replace('.', '/')}", keep=keep)

    return "GET", collection, answer, f"{PAGING} {names}"


def _customers(table: Table, world: World) -> None:
    customers = world.customers
    table.add("GET", "customers", lambda call: customers.find(call.params), f"{PAGING} email")
    table.show("GET", "customers/{id}", lambda call: customers.retrieve(call.object_id))
    table.show("POST", "customers", lambda call: customers.create(call.params), _CUSTOMER)
    table.change("customers", "customer", customers.update, _CUSTOMER)
    table.change("customers", "customer", lambda obj, _: customers.delete(obj), method="DELETE")
    table.add(
        "GET",
        "customers/{id}/payment_methods",
        lambda call: world.methods.find_all(call.params, customer=world.state.get("customer", call.object_id)["id"]),
        f"{METHODS} type allow_redisplay",
    )


def _methods(table: Table, world: World) -> None:
    methods = world.methods
    table.add(
        "GET", "payment_methods", lambda call: methods.find_all(call.params), f"{METHODS} customer type allow_redisplay"
    )
    table.read("payment_methods", "payment_method")
    table.show(
        "POST", "payment_methods", lambda call: methods.create(call.params), "type card billing_details metadata"
    )
    table.change("payment_methods", "payment_method", methods.update, "allow_redisplay billing_details card metadata")
    table.show(
        "POST",
        "payment_methods/{id}/attach",
        lambda call: methods.attach(call.object_id, str(call.params.get("customer", ""))),
        "customer",
    )
    table.change("payment_methods", "payment_method", lambda obj, _: methods.detach(obj), action="detach")


def _intents(table: Table, world: World) -> None:
    payments = world.payments

    def confirm(intent: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        try:
            confirmed = payments.confirm_call(intent, params)
        except StripeFault as fault:
            if fault.status == DECLINED:  # an attempt all the same; any other fault was none
                world.billing.after_confirmation(intent)
            raise
        world.billing.after_confirmation(intent)
        return confirmed

    table.add(*lister(world, "payment_intent", "payment_intents", "customer"))
    table.read("payment_intents", "payment_intent")
    table.show("POST", "payment_intents", lambda call: payments.create(call.params), _INTENT_CREATE)
    table.change("payment_intents", "payment_intent", payments.update, _INTENT)
    table.change(
        "payment_intents", "payment_intent", confirm, "payment_method return_url off_session", action="confirm"
    )
    table.change("payment_intents", "payment_intent", payments.capture, "amount_to_capture", action="capture")
    table.change("payment_intents", "payment_intent", payments.cancel, "cancellation_reason", action="cancel")


def _setups(table: Table, world: World) -> None:
    setups = world.setups
    table.add(*lister(world, "setup_intent", "setup_intents", "customer payment_method"))
    table.read("setup_intents", "setup_intent")
    table.show(
        "POST",
        "setup_intents",
        lambda call: setups.create(call.params),
        f"{_SETUP} automatic_payment_methods confirm return_url usage",
    )
    table.change("setup_intents", "setup_intent", setups.update, _SETUP)
    table.change("setup_intents", "setup_intent", setups.confirm, "payment_method return_url", action="confirm")
    table.change("setup_intents", "setup_intent", setups.cancel, "cancellation_reason", action="cancel")


def _charges(table: Table, world: World) -> None:
    table.add(*lister(world, "charge", "charges", "customer payment_intent"))
    table.read("charges", "charge")
    table.change("charges", "charge", world.charges.update, "description metadata receipt_email")
    table.add(*lister(world, "refund", "refunds", "charge payment_intent"))
    table.read("refunds", "refund")
    table.show(
        "POST",
        "refunds",
        lambda call: world.refunds.create(call.params),
        "amount charge metadata payment_intent reason",
    )
    table.change("refunds", "refund", world.refunds.update, "metadata")
    table.add(*lister(world, "dispute", "disputes", "charge payment_intent"))
    table.read("disputes", "dispute")
    table.change("disputes", "dispute", world.disputes.update, "evidence metadata submit")
    table.change("disputes", "dispute", lambda obj, _: world.disputes.close(obj, won=False), action="close")


def _events(table: Table, world: World) -> None:
    endpoints = world.endpoints

    def create(call: Call) -> dict[str, Any]:
        made = endpoints.create(call.params)
        return made | {"secret": endpoints.secret(made)}

    table.add("GET", "events", lambda call: world.events.find(call.params), f"{PAGING} type types delivery_success")
    table.read("events", "event")
    table.add(*lister(world, "webhook_endpoint", "webhook_endpoints"))
    table.read("webhook_endpoints", "webhook_endpoint")
    table.show("POST", "webhook_endpoints", create, f"{_ENDPOINT} api_version connect")
    table.change("webhook_endpoints", "webhook_endpoint", endpoints.update, f"{_ENDPOINT} disabled")
    table.change("webhook_endpoints", "webhook_endpoint", lambda obj, _: endpoints.delete(obj), method="DELETE")


def _account(table: Table, world: World) -> None:
    table.add("GET", "balance", lambda _: world.balance.retrieve())
    table.add(
        "GET",
        "balance_transactions",
        lambda call: world.balance.transactions(call.params),
        f"{PAGING} type currency source",
    )
    table.read("balance_transactions", "balance_transaction")
    table.add("GET", "account", lambda _: world.balance.account())
    table.add("GET", "accounts/{id}", lambda call: world.balance.account(call.object_id))

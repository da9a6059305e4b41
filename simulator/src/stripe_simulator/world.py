"""One account in one mode: its objects, and the parts that change them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stripe_simulator.balance import Balance
from stripe_simulator.billing import Billing
from stripe_simulator.catalog import Catalog
from stripe_simulator.changes import Changes
from stripe_simulator.charges import Charges
from stripe_simulator.checkout import Checkout
from stripe_simulator.coupons import Coupons
from stripe_simulator.customers import Customers
from stripe_simulator.delivery import Delivery
from stripe_simulator.disputes import Disputes
from stripe_simulator.events import Events
from stripe_simulator.idempotency import IdempotencyKeys
from stripe_simulator.invoices import Invoices
from stripe_simulator.payment_methods import PaymentMethods
from stripe_simulator.payments import Payments
from stripe_simulator.refunds import Refunds
from stripe_simulator.setup_intents import SetupIntents
from stripe_simulator.subscriptions import Subscriptions
from stripe_simulator.webhook_endpoints import WebhookEndpoints

if TYPE_CHECKING:
    from stripe_simulator.faults import Faults
    from stripe_simulator.state import State


class World:
    """What the calls of one account's keys reach."""

    def __init__(self, state: State, faults: Faults) -> None:
        self.state = state
        self.idempotency = IdempotencyKeys(state)
        self.endpoints = WebhookEndpoints(state)
        self.delivery = Delivery(state, self.endpoints, faults)
        self.events = Events(state, deliver=self.delivery.deliver)
        self.balance = Balance(state)
        self.charges = Charges(state, self.events, self.balance)
        self.methods = PaymentMethods(state, self.events)
        self.payments = Payments(state, self.events, self.methods, self.charges)
        self.setups = SetupIntents(state, self.events, self.methods)
        self.refunds = Refunds(state, self.events, self.balance, self.methods)
        self.disputes = Disputes(state, self.events, self.balance)
        self.customers = Customers(state, self.events, self.methods)
        self._connect_billing()

    def _connect_billing(self) -> None:
        state = self.state
        self.catalog = Catalog(state, self.events, self.customers)
        self.coupons = Coupons(state, self.events)
        self.invoices = Invoices(state, self.events, self.payments, self.coupons)
        self.changes = Changes(state, self.events, self.invoices, self.methods, self.coupons)
        self.billing = Billing(
            state,
            self.events,
            payments=self.payments,
            invoices=self.invoices,
            subscriptions=Subscriptions(
                state,
                self.events,
                invoices=self.invoices,
                methods=self.methods,
                setups=self.setups,
                coupons=self.coupons,
            ),
            changes=self.changes,
        )
        self.checkout = Checkout(
            state,
            self.events,
            customers=self.customers,
            methods=self.methods,
            payments=self.payments,
            setups=self.setups,
            billing=self.billing,
        )
        self.payments.after_charge = self._dispute
        self.setups.after_success = self.billing.after_setup
        self.customers.before_delete = self.billing.cancel_all

    def _dispute(self, charge: dict[str, Any], method: dict[str, Any]) -> None:
        """A card that disputes does so at once (docs.stripe.com/testing#disputes)."""
        reason = self.methods.card(method).disputes
        if reason is not None:
            self.disputes.open(charge, reason=reason)

    def advance(self) -> None:
        """Do what the clock makes due."""
        self.state.request = {"id": None, "idempotency_key": None}
        self.billing.advance()
        self.checkout.advance()
        self.state.flush()

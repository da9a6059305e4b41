"""The account, its balance, and the transactions behind it (docs.stripe.com/api/balance)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stripe_simulator.errors import invalid
from stripe_simulator.listing import in_range, page
from stripe_simulator.shapes import shape

if TYPE_CHECKING:
    from stripe_simulator.state import State

PAYOUT_DELAY_SECONDS: Final = 2 * 86400
FEE_FIXED: Final = 30
FEE_PER_MILLE: Final = 29


class Balance:
    """Money of the account."""

    def __init__(self, state: State) -> None:
        self._state = state

    def record(
        self, *, amount: int, currency: str, source: str, kind: str, category: str, fee: int = 0
    ) -> dict[str, Any]:
        """Record that money came (positive) or went (docs.stripe.com/api/balance_transactions/object)."""
        details = {"amount": fee, "application": None, "currency": currency, "description": "Stripe processing fees"}
        return self._state.add(
            shape("balance_transaction")
            | {
                "id": self._state.new_id("txn"),
                "amount": amount,
                "available_on": self._state.real_now + PAYOUT_DELAY_SECONDS,
                "created": self._state.real_now,
                "currency": currency,
                "fee": fee,
                "fee_details": [details | {"type": "stripe_fee"}] if fee else [],
                "net": amount - fee,
                "reporting_category": category,
                "source": source,
                "type": kind,
            }
        )

    def retrieve(self) -> dict[str, Any]:
        """Return the sums by currency (docs.stripe.com/api/balance/balance_retrieve)."""
        sums: dict[str, list[int]] = {"usd": [0, 0]}
        for transaction in self._state.newest("balance_transaction"):
            both = sums.setdefault(transaction["currency"], [0, 0])
            both[transaction["available_on"] > self._state.real_now] += transaction["net"]
        return {
            "object": "balance",
            "available": [_amount(both[0], currency) for currency, both in sums.items()],
            "livemode": self._state.livemode,
            "pending": [_amount(both[1], currency) for currency, both in sums.items()],
        }

    def transactions(self, params: dict[str, Any]) -> dict[str, Any]:
        """List transactions (docs.stripe.com/api/balance_transactions/list)."""
        within = in_range(params)
        wanted = {name: params[name] for name in ("type", "currency", "source") if name in params}

        def keep(obj: dict[str, Any]) -> bool:
            return within(obj) and all(obj[name] == value for name, value in wanted.items())

        return page(self._state, "balance_transaction", params, url="/v1/balance_transactions", keep=keep)

    def account(self, account_id: str | None = None) -> dict[str, Any]:
        """Return the account whose key is used (docs.stripe.com/api/accounts/retrieve); another's is refused."""
        if account_id not in {None, self._state.account}:
            raise invalid(
                f"The provided key does not have access to account '{account_id}' (or that account does not exist).",
                code="account_invalid",
                status=403,
            )
        return {
            "id": self._state.account,
            "object": "account",
            "business_profile": None,
            "business_type": "company",
            "capabilities": {"card_payments": "active", "transfers": "active"},
            "charges_enabled": True,
            "controller": {"type": "account"},
            "country": "US",
            "created": 1735689600,
            "default_currency": "usd",
            "details_submitted": True,
            "email": "owner@example.com",
            "external_accounts": {
                "object": "list",
                "data": [],
                "has_more": False,
                "url": f"/v1/accounts/{self._state.account}/external_accounts",
            },
            "metadata": {},
            "payouts_enabled": True,
            "type": "standard",
        }


def stripe_fee(amount: int) -> int:
    """Return what Stripe keeps of a card payment (stripe.com/pricing: 2.9 % and 30 cents)."""
    return FEE_FIXED + amount * FEE_PER_MILLE // 1000


def _amount(amount: int, currency: str) -> dict[str, Any]:
    return {"amount": amount, "currency": currency, "source_types": {"card": amount}}

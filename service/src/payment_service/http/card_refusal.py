"""Refuses numbers of payment cards, which must not come here: PCI DSS scope begins with the first one that is stored.

Cards belong into Stripe.js, which sends them to Stripe alone (docs.stripe.com/security/guide). So a text that holds a
card number (`card_numbers.py`) is refused wherever a caller may put text, and is neither repeated nor logged.
"""

from __future__ import annotations

from payment_service.errors import CardNumberRefused


def refusal(field: str) -> CardNumberRefused:
    """Return the answer to a request whose `field` holds a card number; the number is not in it."""
    message = "holds a card number; never send one here, collect cards with Stripe.js and send its payment method's id"
    return CardNumberRefused(f"{field}: {message}", errors=[{"field": field, "message": message}])

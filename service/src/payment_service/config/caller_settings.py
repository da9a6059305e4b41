"""How much one caller may ask of a process or of Stripe, each a setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from payment_service.config.environment import EnvironmentReader


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerSettings:
    """What keeps one caller from using up what all share: `ratelimit/in_flight.py` and `stripe_api/reads.py`."""

    requests_in_flight: int
    """`PAYMENTS_REQUESTS_IN_FLIGHT`: of one API key's principal, or without a key of one client address, at once in
    one process; 0, as in development: any number."""
    stripe_reads_per_minute: int
    """`PAYMENTS_STRIPE_READS_PER_MINUTE`: questions to Stripe that reads and look-ups of one such caller cause, in all
    processes; 0, as in development: any number."""
    absent_seconds: float
    """`PAYMENTS_ABSENT_SECONDS`: how long a process remembers that Stripe does not have what was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclineSettings:
    """How many declined cards end in refusals, see `payments/declines.py`; 0: no limit."""

    card_per_hour: int
    """`PAYMENTS_CARD_DECLINES_PER_HOUR`: of one card."""
    end_user_per_hour: int
    """`PAYMENTS_END_USER_DECLINES_PER_HOUR`: of one address that the caller passes on."""
    setup_intent_per_hour: int
    """`PAYMENTS_SETUP_INTENT_DECLINES_PER_HOUR`: of one setup intent, which is canceled then."""
    key_per_minute: int
    """`PAYMENTS_KEY_DECLINES_PER_MINUTE`: of one API key's principal, when they are also the larger part."""
    key_percent: int
    """`PAYMENTS_KEY_DECLINES_PERCENT`: which part of all its attempts is the larger one."""


def read_callers(reader: EnvironmentReader, *, development: bool) -> CallerSettings:
    """Read them from the environment."""
    return CallerSettings(
        requests_in_flight=reader.integer(
            "PAYMENTS_REQUESTS_IN_FLIGHT", 0 if development else 32, minimum=0, maximum=100_000
        ),
        stripe_reads_per_minute=reader.integer(
            "PAYMENTS_STRIPE_READS_PER_MINUTE", 0 if development else 300, minimum=0, maximum=1_000_000
        ),
        absent_seconds=reader.number("PAYMENTS_ABSENT_SECONDS", 0 if development else 5, minimum=0, maximum=3600),
    )


def read_declines(reader: EnvironmentReader, *, development: bool) -> DeclineSettings:
    """Read them: in development, where Stripe's few test cards are declined all day, there is no limit."""

    def limit(name: str, default: int) -> int:
        return reader.integer(name, 0 if development else default, minimum=0, maximum=1_000_000)

    return DeclineSettings(
        card_per_hour=limit("PAYMENTS_CARD_DECLINES_PER_HOUR", 5),
        end_user_per_hour=limit("PAYMENTS_END_USER_DECLINES_PER_HOUR", 20),
        setup_intent_per_hour=limit("PAYMENTS_SETUP_INTENT_DECLINES_PER_HOUR", 5),
        key_per_minute=limit("PAYMENTS_KEY_DECLINES_PER_MINUTE", 30),
        key_percent=reader.integer("PAYMENTS_KEY_DECLINES_PERCENT", 50, minimum=1, maximum=100),
    )

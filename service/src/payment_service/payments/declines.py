"""Limits of declined cards, against card testing: trying stolen cards, each with a customer of its own.

Successes count against nothing here. Each dimension bears its own declines and no more:

- **card**: by Stripe's fingerprint of the card number (docs.stripe.com/api/payment_methods/object), of the whole
  account, for a decline is Stripe's word. It is known without a further call: the answer to attaching holds it. A
  PaymentMethod that nobody has seen is therefore attached before it is refused, but never charged; one that was
  refused or declined is refused before any call.
- **end user**: by the address that the caller passes on, within the caller's API key, for it is the caller's word and
  must not lock anybody out elsewhere. Addresses are kept as keyed hashes only.
- **key**: the last resort, for callers that pass no address on. A busy shop has many declines, so they count only when
  they are also the larger part (`percent`) of all attempts, and for a minute only: it slows an attack down and lets
  the shop sell on as soon as it ebbs away.

A setup intent tries a card without a charge, so whoever wants one is looked at as one who pays is; its card is unknown
until the customer's browser confirms it with Stripe directly, as often as it likes, and so is that of a first payment
which waits for the browser. What fails then is counted when the event comes (`payment_methods/browser_declines.py`):
once, and only where that is within the time that a limit counts. A setup intent of ours has a limit of its own, at
which it is canceled. Beside that, what a browser tries with one secret is stopped by Stripe's own protection alone
(docs.stripe.com/disputes/prevention/card-testing).

Declines are counted when they are known, so attempts under way side by side may exceed a limit by their number. While
Redis is away nothing is refused, and nothing canceled.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final, NamedTuple

from payment_service.errors import PaymentsError, TooManyDeclines, TooManyRequests
from payment_service.observability.metrics import DECLINES_REFUSED, LIMITER_DECISIONS
from payment_service.ratelimit.limiter import Rule
from payment_service.ratelimit.limits import limit_headers

if TYPE_CHECKING:
    from payment_service.config.caller_settings import DeclineSettings
    from payment_service.config.secrets import Secret
    from payment_service.json_types import JsonObject
    from payment_service.ratelimit.limiter import Decision, Limiter

HOUR: Final = 3600.0
UNLIMITED: Final = 2**50
COUNTED: Final = "declines_counted"
SETUP_INTENT: Final = "declines_setup_intent"
CARD, END_USER, KEY, ATTEMPTS = "declines_card", "declines_end_user", "declines_key", "attempts_key"
_WAYS_OUT: Final = {
    CARD: "This card was declined too often: try another one, or this one later",
    END_USER: "Too many cards from this end user's address were declined: try again later",
    KEY: "Too many cards of this API key were declined, as when stolen cards are tried: try again later",
}


class Payer(NamedTuple):
    """Who tries a card, and which."""

    principal: str | None
    """None: it was not asked for here."""
    payment_method: str | None
    """As the request names it; None: not known yet."""
    end_user: str | None
    """A fingerprint of the end user's address, see `Declines.fingerprint`."""


class Declines:
    """Looks before an attempt and counts after it.

    Args:
        limiter: shared by all pods.
        settings: of each dimension; 0: no limit.
        secret_key: what fingerprints are made with.
    """

    def __init__(self, limiter: Limiter, settings: DeclineSettings, *, secret_key: Secret) -> None:
        self._limiter = limiter
        self._settings = settings
        self._secret_key = secret_key

    def fingerprint(self, *parts: str) -> str:
        """Return a keyed hash by which something personal is counted without being kept."""
        text = "\0".join(parts).encode()
        return hmac.digest(next(iter(self._secret_key.parts()), "").encode(), text, hashlib.sha256).hex()[:32]

    async def admit(self, payer: Payer | None, *further: Rule) -> None:
        """Let a new attempt begin, and count it; with `further` limits, all in one step.

        Raises:
            TooManyDeclines: too many before it were declined; nothing is counted.
            TooManyRequests: one of `further` is reached; nothing is counted.
        """
        rules = (*further, *(self._looked_at(payer) if payer else ()))
        if rules:
            _raise(await self._limiter.check(*rules))

    async def admit_card(self, payer: Payer, fingerprint: str | None) -> None:
        """Let a card be charged whose fingerprint is known now.

        Raises:
            TooManyDeclines: it was declined too often; its PaymentMethod is refused at once from now on.
        """
        if fingerprint is None or not self._settings.card_per_hour:
            return
        decision = await self._limiter.check(self._card(fingerprint, amount=0))
        if not decision.allowed and payer.payment_method is not None:
            await self._limiter.add(_refused_method(payer.payment_method, amount=1))
        _raise(decision)

    async def count(self, payer: Payer, fingerprint: str | None) -> None:
        """Count a decline in each dimension."""
        rules = self._counted(payer, fingerprint)
        if rules:
            await self._limiter.add(*rules)

    async def count_once(
        self,
        event_id: str,
        payer: Payer,
        fingerprint: str | None,
        *,
        age_seconds: float,
        setup_intent: str | None = None,
    ) -> None:
        """Count a decline that an event tells of, however often it does.

        Args:
            event_id: Stripe's id of the event.
            payer: who tried the card.
            fingerprint: of the card.
            age_seconds: of the decline: a limit counts it where it counts that far back.
            setup_intent: of ours, that tried the card.
        """
        counted = self._counted(payer, fingerprint)
        if setup_intent is not None and self._settings.setup_intent_per_hour:
            counted.append(self._setup_intent(setup_intent, amount=1))
        rules = [rule for rule in counted if age_seconds < rule.window_seconds]
        if not rules:
            return
        once = Rule(COUNTED, event_id, 1, exact=True, window_seconds=HOUR)
        await self._limiter.check(once, *(rule._replace(limit=UNLIMITED) for rule in rules))

    async def is_used_up(self, setup_intent: str) -> bool:
        """Return whether a setup intent tried so many cards that it is to be canceled."""
        if not self._settings.setup_intent_per_hour:
            return False
        return not (await self._limiter.check(self._setup_intent(setup_intent, amount=0))).allowed

    def _counted(self, payer: Payer, fingerprint: str | None) -> list[Rule]:
        settings = self._settings
        rules: list[Rule] = []
        if settings.key_per_minute and payer.principal is not None:
            rules.append(Rule(KEY, payer.principal, settings.key_per_minute))
        if settings.card_per_hour:
            rules += [self._card(subject, amount=1) for subject in (payer.payment_method, fingerprint) if subject]
        if settings.end_user_per_hour and payer.end_user:
            rules.append(self._end_user(payer.end_user, amount=1))
        return rules

    def _looked_at(self, payer: Payer) -> list[Rule]:
        settings = self._settings
        rules: list[Rule] = []
        if settings.key_per_minute and payer.principal is not None:
            rules += [
                Rule(ATTEMPTS, payer.principal, UNLIMITED),
                Rule(KEY, payer.principal, settings.key_per_minute, amount=0, share=settings.key_percent),
            ]
        if settings.card_per_hour and payer.payment_method is not None:
            rules += [self._card(payer.payment_method, amount=0), _refused_method(payer.payment_method, amount=0)]
        if settings.end_user_per_hour and payer.end_user:
            rules.append(self._end_user(payer.end_user, amount=0))
        return rules

    def _card(self, subject: str, *, amount: int) -> Rule:
        return Rule(CARD, subject, self._settings.card_per_hour, exact=True, amount=amount, window_seconds=HOUR)

    def _setup_intent(self, subject: str, *, amount: int) -> Rule:
        limit = self._settings.setup_intent_per_hour
        return Rule(SETUP_INTENT, subject, limit, exact=True, amount=amount, window_seconds=HOUR)

    def _end_user(self, subject: str, *, amount: int) -> Rule:
        return Rule(END_USER, subject, self._settings.end_user_per_hour, exact=True, amount=amount, window_seconds=HOUR)


def _refused_method(payment_method: str, *, amount: int) -> Rule:
    """Return the rule that refuses a PaymentMethod whose card was found to be refused."""
    return Rule(CARD, f"refused:{payment_method}", 1, exact=True, amount=amount, window_seconds=HOUR)


def _raise(decision: Decision) -> None:
    if decision.allowed:
        return
    LIMITER_DECISIONS.labels("refused").inc()
    error: PaymentsError
    if decision.name in _WAYS_OUT:
        DECLINES_REFUSED.labels(decision.name.removeprefix("declines_")).inc()
        error = TooManyDeclines(f"{_WAYS_OUT[decision.name]}, with a new Idempotency-Key")
    else:
        error = TooManyRequests(f"At most {decision.limit} requests in any minute ({decision.name}); try again later")
        error.headers = {name.decode(): value.decode() for name, value in limit_headers(decision)}
    error.retry_after = decision.reset_seconds
    raise error


def card_fingerprint(payment_method: JsonObject | None) -> str | None:
    """Return what Stripe knows the card or bank account by, whatever the PaymentMethod's type is."""
    if not payment_method:
        return None
    details = payment_method.get(str(payment_method.get("type")))
    found = details.get("fingerprint") if isinstance(details, dict) else None
    return found if isinstance(found, str) else None

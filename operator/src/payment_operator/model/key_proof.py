"""What is known of an API key that stands in the source Secret: the verdict and how Stripe's answers become one. Pure.

Only an answer of Stripe's refuses a key. An outage, a rate limit or an error of Stripe's leaves it unknown.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

State = Literal["Valid", "Refused", "Unknown"]
_ACCOUNT: Final = re.compile(r"account '(acct_\w+)'")
_EXPIRED: Final = "api_key_expired"
UNAUTHORIZED, FORBIDDEN, TOO_MANY, SERVER_ERROR = 401, 403, 429, 500
AGAIN_AFTER: Final[dict[State, timedelta]] = {
    "Valid": timedelta(hours=1),
    "Refused": timedelta(minutes=1),
    "Unknown": timedelta(seconds=15),
}
"""When an unused key is tried again: its permissions can be mended in the Dashboard, an outage ends."""


@dataclass(frozen=True)
class KeyCheck:
    """One verdict."""

    fingerprint: str
    state: State
    at: datetime
    reason: str = ""
    message: str = ""
    account: str = ""

    def stale(self, now: datetime) -> bool:
        """Whether Stripe should be asked again."""
        return now - self.at >= AGAIN_AFTER[self.state]


@dataclass(frozen=True)
class KeySight:
    """What is known of an environment's API keys in one pass."""

    check: KeyCheck | None = None
    """Of the key in the source Secret, when it is not in use."""
    account: str = ""
    """Of the key in use, as far as Stripe has told it."""
    settled: bool = True
    """Whether the source Secrets have held still for a moment, so that changes that come together are one version."""


@dataclass(frozen=True)
class Answer:
    """What Stripe said to one request; status 0 when nothing came."""

    status: int
    account: str = ""
    livemode: bool | None = None
    code: str = ""
    message: str = ""

    @property
    def unknown(self) -> bool:
        """Whether the answer says nothing of the key."""
        return self.status in {0, TOO_MANY} or self.status >= SERVER_ERROR


def account_of(answer: Answer) -> str:
    """The key's account: Stripe names it in the refusal too, when a restricted key may not read it."""
    if answer.account:
        return answer.account
    found = _ACCOUNT.search(answer.message) if answer.status == FORBIDDEN else None
    return found[1] if found else ""


def _dead(answer: Answer) -> str:
    if answer.status != UNAUTHORIZED:
        return ""
    return "it was revoked or has expired at Stripe" if answer.code == _EXPIRED else "Stripe does not know it"


@dataclass(frozen=True)
class Proof:
    """Stripe's answers about one key."""

    whose: Answer
    balance: Answer | None = None
    permissions: dict[str, Answer] = field(default_factory=dict)
    wanted: str = ""
    """The account that the spec names."""
    present: Answer | None = None
    """Whose the key in use is; None when there is none, or the spec names the account."""
    remembered: str = ""
    """The account of former keys, in case the key in use is dead."""

    @property
    def answers(self) -> list[Answer]:
        """All of them."""
        return [self.whose, *([self.balance] if self.balance else []), *self.permissions.values()]

    @property
    def comparable(self) -> str:
        """The account to compare with; empty when nothing tells it."""
        return self.wanted or (account_of(self.present) if self.present else "") or self.remembered

    @property
    def opens(self) -> bool:
        """Whether it is worth asking more."""
        return not self.whose.unknown and not _dead(self.whose)

    def revoked(self) -> str:
        """Why the key opens nothing; empty when it does."""
        return next(filter(None, map(_dead, self.answers)), "")

    def other_account(self) -> str:
        """Why the account is the wrong one; empty when it is right or one of them is not known."""
        account, wanted = account_of(self.whose), self.comparable
        if not account or not wanted or account == wanted:
            return ""
        return f"it is of the account {account}, this environment's is {wanted}"

    def account_unknown(self) -> str:
        """Why nobody can say whether the account is the right one; empty when it can be said, or asked again."""
        account = account_of(self.whose)
        if not account or self.comparable or self.present is None or self.present.unknown:
            return ""
        return (
            f"it is of the account {account}, and the key in use no longer tells its own; "
            f"if that is this environment's account, set spec.stripe.accountId to {account}"
        )

    def untold(self) -> str:
        """What a good key leaves open, in words."""
        return "" if account_of(self.whose) else "Stripe does not tell its account, so that was not compared"

    def other_mode(self, *, live: bool) -> str:
        """Why the mode is the wrong one; empty when it is right or not told."""
        if self.balance is None or self.balance.livemode in (None, live):
            return ""
        return "it is a test mode key" if live else "it is a live mode key"

    def missing(self) -> str:
        """The permissions that it lacks; empty when it lacks none."""
        lacking = sorted(name for name, answer in self.permissions.items() if answer.status == FORBIDDEN)
        return f"it lacks {', '.join(f'rak_{name}' for name in lacking)}" if lacking else ""

    def unanswered(self) -> str:
        """What Stripe left open; empty when nothing."""
        answers = [*self.answers, *([self.present] if self.present and not self.comparable else [])]
        answer = next((answer for answer in answers if answer.unknown), None)
        if answer is None:
            return ""
        why = f"Stripe answered {answer.status}" if answer.status else "Stripe did not answer"
        return f"{why}; it is tried again"


def judge(proof: Proof, *, live: bool) -> tuple[State, str, str]:
    """The verdict: state, reason, message."""
    refusals = {
        "Revoked": proof.revoked(),
        "OtherAccount": proof.other_account(),
        "AccountUnknown": proof.account_unknown(),
        "OtherMode": proof.other_mode(live=live),
        "MissingPermission": proof.missing(),
    }
    for reason, why in refusals.items():
        if why:
            return "Refused", reason, why
    open_question = proof.unanswered()
    return ("Unknown", "StripeUnavailable", open_question) if open_question else ("Valid", "Valid", proof.untold())

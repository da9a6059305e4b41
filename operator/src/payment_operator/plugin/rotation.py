"""The secrets that are rotated: how old each is, what its rotation waits for, and what to type about it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from payment_operator.plugin import clock
from payment_operator.plugin.kubectl import Object
from payment_operator.plugin.model import Command, Secret
from payment_operator.plugin.verdict import failure

WORDS: Final = {
    "webhook": "webhook secret",
    "api-key": "API key",
    "database": "database password",
    "secret-key": "SECRET_KEY",
}
"""What ``rotate`` takes, and how people call it."""
UNDER_WAY: Final = frozenset({"Creating", "Accepting", "Overlapping", "Retiring", "Abandoning", "Preparing"})
"""States in which the operator refuses another rotation, unless the secret has leaked."""
RETAINED: Final = frozenset({"webhook", "api-key"})
"""Secrets of which the operator retains former ones although a person makes them: it is told when one has leaked."""
_FIELDS: Final = {"webhook": "webhook", "api-key": "apiKey", "database": "database", "secret-key": "secretKey"}

_SECRET_KEY: Final = {
    "Removable": ("no API key needs the former values: say how they go",),
    "Retaining": ("a value that API keys need is gone from your Secret: say how it comes back",),
    "Failed": ("API keys are refused, or no new value can be taken: say what to do",),
}
"""What a person has to do about SECRET_KEY, by state."""


def secrets(environment: Object, at: datetime, *, suffix: str = "") -> list[Secret]:
    """Return what the operator reports of each; ``suffix`` ends the commands that it proposes."""
    return [found for what in WORDS if (found := secret(environment, what, at, suffix=suffix)) is not None]


def secret(environment: Object, what: str, at: datetime, *, suffix: str = "") -> Secret | None:
    """Return what the operator reports of one; nothing when it reports nothing."""
    reported: dict[str, Any] | None = (environment.get("status", {}).get("rotation") or {}).get(_FIELDS[what])
    if not reported:
        return None
    left = clock.seconds_until(reported.get("nextRotation"), at)
    commands = _commands(environment, what, reported["state"], due=left == 0)
    return Secret(
        what=what,
        version=reported.get("version", 0),
        fingerprint=reported.get("fingerprint", ""),
        age_seconds=clock.seconds_since(reported.get("rotatedAt"), at),
        next_rotation=reported.get("nextRotation") or "",
        next_seconds=left,
        state=reported["state"],
        note=_key_note(reported) if what == "api-key" else reported.get("message", ""),
        next=[Command(line=f"kubectl payments {line}{suffix}", effect=effect) for line, effect in commands],
    )


def made_by_hand(environment: Object, what: str) -> bool:
    """Tell whether a person makes the new secret, for the operator cannot or is not to."""
    spec = environment["spec"]
    if what == "webhook":
        return bool(spec["stripe"]["webhook"].get("provider") != "Managed")
    if what == "database":
        return bool((spec["database"].get("rotation") or {}).get("mode") != "AlternatingRoles")
    return True


def _key_note(reported: dict[str, Any]) -> str:
    pending = reported.get("pending") or {}
    if pending.get("message"):
        return f"the new key {pending['fingerprint']}: {pending['message']}; the key in use goes on serving"
    if old := reported.get("revocable"):
        return f"the old key, ending in {old}, can be revoked in Stripe's Dashboard"
    return ""


def _commands(environment: Object, what: str, state: str, *, due: bool) -> Iterator[tuple[str, str]]:
    name = environment["metadata"]["name"]
    rotate = f"rotate {what} {name}"
    if what == "secret-key":
        yield from ((rotate, effect) for effect in _SECRET_KEY.get(state, ()))
    elif state == "Refused":
        yield rotate, "the new API key is refused: say how another one gets in"
    elif state == "Failed" and what == "database" and not failure(environment):
        yield "logs --operator --since 10m", f"see why the {WORDS[what]} could not be changed; it is tried again"
    elif state == "Failed":
        yield rotate, f"rotate the {WORDS[what]} once more, when the cause is gone"
    elif due and state == "Current" and made_by_hand(environment, what):
        yield rotate, f"the {WORDS[what]} has reached its age: say how a new one gets in"

"""What the status says of `SECRET_KEY`: which values pods have, and what is to be done."""

from typing import Literal

from payment_operator.api.rotation import SecretKeyStatus, SecretKeyValue
from payment_operator.decide.rotation import secret_key_messages, secret_keys
from payment_operator.decide.turn import Turn
from payment_operator.model.observed import Observed
from payment_operator.resources.secret_keys import MAXIMUM_VALUES

State = Literal["Current", "Accepting", "Moving", "Removable", "Retaining", "Failed"]


def secret_key_status(turn: Turn) -> SecretKeyStatus | None:
    """The whole; None before the first write of the Secret that pods read."""
    observed = turn.observed
    values, record = secret_keys.live(observed), secret_keys.recorded(observed)
    if not values or not turn.staged.usable:
        return None
    state, message = _state(observed)
    return SecretKeyStatus(
        state=state,
        version=record.number,
        fingerprint=secret_keys.fingerprint_of(observed, values[0]),
        rotated_at=record.signs_since or None,
        values=[_value(observed, value) for value in values],
        message=message,
    )


def _value(observed: Observed, value: str) -> SecretKeyValue:
    need = secret_keys.needing(observed, value)
    return SecretKeyValue(
        fingerprint=secret_keys.fingerprint_of(observed, value),
        id=need.id if need else "",
        signs=value == secret_keys.live(observed)[0],
        keys_needing=need.keys if need else None,
        retained=value not in secret_keys.asked(observed),
    )


def _state(observed: Observed) -> tuple[State, str]:
    values, source = secret_keys.live(observed), secret_keys.asked(observed)
    if lost := secret_keys.missing(observed):
        return "Failed", secret_key_messages.missing(lost)
    if len({*values, *source}) > MAXIMUM_VALUES and secret_keys.seen_by_all(observed):
        return "Failed", f"pods take {MAXIMUM_VALUES} values, and API keys need every one; use, rotate or revoke keys"
    if kept := secret_keys.retained(observed):
        return "Retaining", secret_key_messages.kept(observed, kept)
    if len(values) == 1 and values == source:
        return "Current", ""
    if not secret_keys.seen_by_all(observed) or not set(source) <= set(values) or values[0] != source[0]:
        return "Accepting", _waits_for(observed)
    return _moving(observed)


def _waits_for(observed: Observed) -> str:
    pods = secret_keys.lacking(observed)
    return f"waits for {', '.join(pods)} to read the values" if pods else ""


def _moving(observed: Observed) -> tuple[State, str]:
    former = secret_keys.live(observed)[1:]
    needs = [secret_keys.needing(observed, value) for value in former]
    known = [need for need in needs if need is not None]
    if len(known) < len(needs):
        return "Moving", "pods do not tell which values API keys need"
    if any(need.keys for need in known):
        return "Moving", secret_key_messages.moving(known)
    if all(secret_keys.may_go(observed, value) for value in former):
        return "Removable", "no API key needs the former values; they can be removed from the Secret"
    return "Moving", "no API key needs the former values; that is to stay so for a moment"

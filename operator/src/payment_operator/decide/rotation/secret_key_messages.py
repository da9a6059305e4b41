"""What people are told of the values of `SECRET_KEY`."""

from payment_operator.decide.rotation import secret_keys
from payment_operator.model.observed import Observed
from payment_operator.model.secret_keys import ValueNeed


def missing(lost: tuple[ValueNeed, ...]) -> str:
    """API keys that are refused, for no pod has the value that they need."""
    ids = ", ".join(need.id or "of older keys" for need in lost)
    return f"API keys are refused: SECRET_KEY lacks a value ({ids}) that {_needed(lost)}; put it back as the last one"


def kept(observed: Observed, values: list[tuple[str, ValueNeed]]) -> str:
    """Values that a person removed while API keys need them."""
    fingerprints = ", ".join(secret_keys.fingerprint_of(observed, value) for value, _ in values)
    where = f"the Secret {observed.spec.secret_key_ref.name}"
    return (
        f"{_needed([need for _, need in values])} the value {fingerprints} of SECRET_KEY, which is gone from {where}; "
        f"the operator keeps it until none does. It stands nowhere else: put it back as the last one"
    )


def moving(needs: list[ValueNeed]) -> str:
    """API keys that have not moved to the first value yet."""
    return f"{_needed(needs)} a former value; keys move when they are used, rotate or revoke the others"


def _needed(needs: tuple[ValueNeed, ...] | list[ValueNeed]) -> str:
    count = sum(need.keys for need in needs)
    return "1 API key needs" if count == 1 else f"{count} API keys need"

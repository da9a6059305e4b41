"""What API pods say of the values of `SECRET_KEY` (docs/contracts.md, "Admin port")."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ValueNeed:
    """How many usable API keys need one value."""

    id: str
    """As the service names the value: empty for keys from before values were noted."""
    fingerprint: str
    """Empty for a value that is not in use."""
    keys: int


@dataclass(frozen=True)
class KeyReport:
    """What one pod says."""

    fingerprints: tuple[str, ...] = ()
    """Fingerprints of the values it has, the one that signs first."""
    needs: tuple[ValueNeed, ...] | None = None
    """Of the values it has; None when its database does not tell."""
    missing: tuple[ValueNeed, ...] = ()
    """Values it lacks though keys need them: those keys are refused."""

    def of_one_moment(self) -> tuple[ValueNeed, ...]:
        """The needs, unless the pod read other values while it counted: then none."""
        needs = self.needs or ()
        return needs if tuple(need.fingerprint for need in needs) == self.fingerprints else ()


@dataclass(frozen=True)
class SecretKeySight:
    """What one pass has seen; None stands for what was not asked."""

    reports: dict[str, KeyReport | None] | None = None
    """By uid of each running API pod; None for one that did not answer."""


def read_report(answer: dict[str, Any]) -> KeyReport | None:
    """Read the answer to `GET /status`."""
    if not answer:
        return None
    told = answer.get("secret_keys")
    try:
        return KeyReport(
            tuple((answer.get("secrets") or {}).get("secret_key") or ()),
            None if told is None else _needs(told.get("in_use")),
            _needs((told or {}).get("missing")),
        )
    except (AttributeError, LookupError, TypeError, ValueError):  # of another form than the contract's
        return None


def _needs(entries: list[dict[str, Any]] | None) -> tuple[ValueNeed, ...]:
    return tuple(
        ValueNeed(str(entry.get("id", "")), str(entry.get("fingerprint", "")), int(entry["keys_needing"]))
        for entry in entries or ()
    )

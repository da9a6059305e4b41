"""Conditions by Kubernetes' conventions: observations, each with a reason of one word and a message for people."""

from dataclasses import dataclass
from typing import Literal

from payment_operator.api.status import Condition
from payment_operator.redaction import redact
from payment_operator.resources.metadata import Manifest

Status = Literal["True", "False", "Unknown"]
UNKNOWN: Status = "Unknown"


@dataclass(frozen=True)
class Finding:
    """One condition before it is stamped."""

    type: str
    status: Status
    reason: str
    message: str = ""


def true_or_false(value: object) -> Status:
    """The status of a condition that is known."""
    return "True" if value else "False"


def stamped(findings: list[Finding], *, former: list[Manifest], generation: int, now: str) -> list[Condition]:
    """The conditions with the moment of their last change, which stays while the status does."""
    before = {entry["type"]: entry for entry in former}
    return [
        Condition(
            type=finding.type,
            status=finding.status,
            reason=finding.reason,
            message=redact(finding.message)[:1000],
            observed_generation=generation,
            last_transition_time=_since(before.get(finding.type), finding, now),
        )
        for finding in findings
    ]


def _since(former: Manifest | None, finding: Finding, now: str) -> str:
    if former is not None and former.get("status") == finding.status and former.get("lastTransitionTime"):
        return str(former["lastTransitionTime"])
    return now

"""Faults on demand: what the network and Stripe do on bad days."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

FaultKind = Literal[
    "latency",
    "timeout_before",
    "timeout_after",
    "reset_before",
    "reset_after",
    "429",
    "409",
    "500_before",
    "500_after",
    "500_saved",
    "500_saved_after",
]
"""What happens to a call.

- `latency`: it takes `seconds` longer, and is in progress meanwhile.
- `timeout_before`, `timeout_after`: no answer for `seconds` (120 without), then the connection ends; the call was not
  executed, or was.
- `reset_before`, `reset_after`: the connection is reset; the call was not executed, or was.
- `429`, `409`: refused before execution (docs.stripe.com/rate-limits, docs.stripe.com/error-codes#lock-timeout).
- `500_before`, `500_after`: an error at Stripe's edge, before execution or after it; the idempotency key holds the true
  answer of the latter.
- `500_saved`, `500_saved_after`: execution itself fails, without effect or with it; the 500 is the saved answer
  (docs.stripe.com/error-low-level#idempotency: also 500s are saved).
"""
WebhookFaultKind = Literal["duplicate", "reorder", "delay", "drop", "wrong_signature", "future_timestamp"]
"""What happens to a delivery.

- `duplicate`: it is sent twice.
- `reorder`: it waits until a later event was accepted, `seconds` at most (1 without).
- `delay`: it waits `seconds`.
- `drop`: every attempt fails.
- `wrong_signature`, `future_timestamp`: the first attempt is signed with a foreign secret, or for an hour from now.
"""


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What happens to calls that match, `count` times after the first `skip`."""

    kind: FaultKind
    method: str = ".*"
    path: str = ".*"
    count: int = 1
    skip: int = 0
    seconds: float = 0.0

    def matches(self, method: str, path: str) -> bool:
        """Tell whether the fault strikes this call, and count it."""
        if not re.fullmatch(self.method, method) or not re.fullmatch(self.path, path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.count -= 1
        return True


class WebhookFault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What happens to deliveries of matching event types to matching addresses, `count` times."""

    kind: WebhookFaultKind
    type: str = ".*"
    url: str = ".*"
    count: int = 1
    seconds: float = 0.0

    def matches(self, event_type: str, url: str) -> bool:
        """Tell whether the fault strikes this delivery, and count it."""
        if not re.fullmatch(self.type, event_type) or not re.fullmatch(self.url, url):
            return False
        self.count -= 1
        return True


class Faults:
    """The faults that wait to strike, oldest first."""

    def __init__(self) -> None:
        self.calls: list[Fault] = []
        self.webhooks: list[WebhookFault] = []

    def call(self, method: str, path: str) -> Fault | None:
        """Return the fault of this call, if any."""
        if not self.calls:
            return None
        found = next((fault for fault in self.calls if fault.matches(method, path)), None)
        self.calls = [fault for fault in self.calls if fault.count > 0]
        return found

    def webhook(self, event_type: str, url: str) -> WebhookFault | None:
        """Return the fault of this delivery, if any."""
        if not self.webhooks:
            return None
        found = next((fault for fault in self.webhooks if fault.matches(event_type, url)), None)
        self.webhooks = [fault for fault in self.webhooks if fault.count > 0]
        return found

    def clear(self) -> None:
        """Forget them all."""
        self.calls.clear()
        self.webhooks.clear()

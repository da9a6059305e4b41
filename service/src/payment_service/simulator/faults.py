"""Faults on demand: what the network and Stripe do on bad days."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

FaultKind = Literal[
    "latency", "timeout_before", "timeout_after", "reset_before", "reset_after", "429", "500_before", "500_after", "409"
]
WebhookFaultKind = Literal["duplicate", "delay", "drop", "wrong_signature", "future_timestamp"]


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
    """What happens to deliveries of matching event types, `count` times."""

    kind: WebhookFaultKind
    type: str = ".*"
    count: int = 1
    seconds: float = 0.0

    def matches(self, event_type: str) -> bool:
        """Tell whether the fault strikes this delivery, and count it."""
        if not re.fullmatch(self.type, event_type):
            return False
        self.count -= 1
        return True


class Faults:
    """The faults that wait to strike."""

    def __init__(self) -> None:
        self.calls: list[Fault] = []
        self.webhooks: list[WebhookFault] = []

    def call(self, method: str, path: str) -> Fault | None:
        """Return the fault of this call, if any."""
        found = next((fault for fault in self.calls if fault.matches(method, path)), None)
        self.calls = [fault for fault in self.calls if fault.count > 0]
        return found

    def webhook(self, event_type: str) -> WebhookFault | None:
        """Return the fault of this delivery, if any."""
        found = next((fault for fault in self.webhooks if fault.matches(event_type)), None)
        self.webhooks = [fault for fault in self.webhooks if fault.count > 0]
        return found

    def clear(self) -> None:
        """Forget them all."""
        self.calls.clear()
        self.webhooks.clear()

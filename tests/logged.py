"""Looks for secrets in everything that is logged while tests run, after the redaction filter has seen it.

What is looked for is written down here anew, not taken from the filter: a pattern that the filter lacks must show.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import structlog

from payment_service.platform.logging import redact

if TYPE_CHECKING:
    from collections.abc import MutableMapping

FOUND: list[str] = []
"""The lines that held a secret."""
COUNTED = {"lines": 0}
_SECRETS = re.compile(
    r"[srp]k_(?:test|live)_[A-Za-z0-9]"  # Stripe's keys
    r"|whsec_[A-Za-z0-9]"  # signing secrets
    r"|\blp_[A-Za-z0-9]{4}"  # our API keys
    r"|_secret_[A-Za-z0-9]"  # client secrets
    r"|\b(?:\d[ -]?){12,18}\d\b"  # card numbers
    r"|://[^/\s:@]+:[^*@/\s][^@/\s]*@"  # passwords in addresses
    r'|"object": ?"event"'  # raw events
)


def secrets_in(text: str) -> list[str]:
    """Return the lines of `text` that hold a secret."""
    return [line for line in text.splitlines() if _SECRETS.search(line)]


def look(text: str) -> None:
    """Note what a line holds."""
    COUNTED["lines"] += 1
    FOUND.extend(secrets_in(text))


def catch(_logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Look at an event of ours, as the last processor before rendering; print warnings and worse only."""
    look(" ".join(f"{name}={value}" for name, value in event.items()))
    if method in {"debug", "info"}:
        raise structlog.DropEvent
    return event


class Watcher(logging.Handler):
    """Looks at what libraries log, as the service's formatter would write it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Look at one record."""
        look(redact(self.format(record)))

"""Looks for secrets in everything that is logged while tests run, after the redaction filter has seen it.

What is looked for is written down here anew: a pattern that the filter lacks must show. The filter itself comes second:
a line that it would change once more was written past it.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import structlog

from payment_service.observability.redaction import redact

if TYPE_CHECKING:
    from collections.abc import MutableMapping

FOUND: list[str] = []
"""The lines that held a secret."""
COUNTED = {"lines": 0}
_SECRETS = re.compile(
    r"[srp]k_(?:test|live)_[A-Za-z0-9]"  # Stripe's keys
    r"|whsec_[A-Za-z0-9]"  # signing secrets
    r"|\blp_(?:test|live)_[A-Za-z0-9]|\blp_[A-Za-z0-9_-]{16}"  # our API keys
    r"|ek_(?:test|live)_[A-Za-z0-9]"  # ephemeral keys
    r"|v1=[0-9a-f]{32}"  # signatures
    r"|(?i:bearer|basic) [A-Za-z0-9_.=-]{24}"
    r"|(?i:password|secret_key|client_secret|api_key|token)[\"']?[=:] ?[\"']?[A-Za-z0-9]"
    r"|PRIVATE KEY-----[^*]"
    r"|[a-z0-9][@\uff20\ufe6b][a-z0-9.-]+[.\uff0e](?:com|org|net|test|example)\b"  # addresses of people
    r"|_secret_[A-Za-z0-9]"  # client secrets
    r"|\b(?:\d[ -]?){12,18}\d\b"  # card numbers
    r"|://[^/\s:@]+:[^*@/\s][^@/\s]*@"  # passwords in addresses
    r'|"object": ?"event"'  # raw events
)


def secrets_in(text: str) -> list[str]:
    """Return the lines of `text` that hold a secret."""
    return [line for line in text.splitlines() if _SECRETS.search(line) or redact(line) != line]


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

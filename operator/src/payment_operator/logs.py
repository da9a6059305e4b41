"""Logs as one JSON object a line, without secrets."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

from payment_operator.redaction import redact
from payment_operator.resources.metadata import Owner

QUIET: Final = ("kopf", "aiohttp", "asyncio", "kubernetes")


class JsonFormatter(logging.Formatter):
    """Writes a record as JSON; the text and the traceback are redacted."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": redact(_message(record)),
        }
        if environment := getattr(record, "environment", None):
            line["environment"] = environment
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def _message(record: logging.LogRecord) -> str:
    """Return the text; the standard library prints arguments that do not fit as they are, past every formatter."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} (its arguments do not fit)"


def environment_of(owner: Owner) -> dict[str, str]:
    """What a record carries in `extra` so that its line names the environment."""
    return {"environment": f"{owner.namespace}/{owner.name}"}


def configure(level: str) -> None:
    """Send every logger's lines to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False  # a line that cannot be written would be printed raw
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))

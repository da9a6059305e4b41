"""Structured logs: JSON lines in production, readable in development; secrets never reach a line."""

from __future__ import annotations

import logging
import logging.handlers
import re
import sys
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from payment_service.settings import Settings

FILE_BYTES: Final = 10 * 1024 * 1024
FILES_KEPT: Final = 10
_SECRETS: Final = (
    (re.compile(r"\b((?:sk|rk|pk)_(?:test|live)|whsec|lp)_[A-Za-z0-9_]+"), r"\1_***"),
    (re.compile(r"\b((?:pi|seti|cs)_[A-Za-z0-9]+_secret)_[A-Za-z0-9]+"), r"\1_***"),
    (re.compile(r"(\w+://[^:/@\s]+):[^@/\s]+@"), r"\1:***@"),
    (re.compile(r"\b\d(?:[ -]?\d){12,18}\b"), "***"),
)


def redact(text: str) -> str:
    """Remove Stripe keys, signing and client secrets, API keys, passwords in URLs and card numbers from `text`."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def redact_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Redact every text of a log event: the last processor before rendering."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = redact(value)
        elif value is not None and not isinstance(value, int | float | bool):
            event[name] = redact(str(value))
    return event


def configure_logging(settings: Settings) -> None:
    """Set up structlog and the standard library's loggers, to standard error and, when set, `LOG_FILE`."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact_event,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=_to_json)
        if settings.production
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if settings.log_file:
        handlers.append(
            logging.handlers.RotatingFileHandler(settings.log_file, maxBytes=FILE_BYTES, backupCount=FILES_KEPT)
        )
    for handler in handlers:
        handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = handlers
    root.setLevel(settings.log_level)
    for noisy in ("uvicorn.access", "aiosqlite", "stripe", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _to_json(event: dict[str, Any], **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()

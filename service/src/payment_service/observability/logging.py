"""Structured logs: JSON lines in production, readable in development; secrets never reach a line.

Our own lines are rendered by structlog and written at once: passing each through a record and a formatter of the
standard library cost a quarter of a webhook's time. Libraries' lines come through it, in the same form.
"""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import sys
import time
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

import msgspec
import structlog

from payment_service.observability.redaction import redact, redact_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from structlog.typing import EventDict

    from payment_service.config.settings import Settings

FILE_BYTES: Final = 10 * 1024 * 1024
FILES_KEPT: Final = 10
_RENDERED: Final = "rendered"


def redact_event(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Redact an event's texts and the values of fields that are named like secrets: the last step before rendering."""
    for name, value in event.items():
        event[name] = redact_value(value, name=name)
    return event


class LineLogger:
    """Writes rendered lines to standard error and the log file.

    Args:
        name: of the logger, a part of each line.
        file: the log file's handler; None without one.
    """

    def __init__(self, name: str, file: logging.Handler | None) -> None:
        self.name = name
        self._file = file

    def msg(self, line: str) -> None:
        """Write one line; a reader that went away or a full disk fails no request."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"{line}\n")
        if self._file is not None:
            self._file.handle(logging.makeLogRecord({"name": self.name, "msg": line, _RENDERED: True}))

    debug = info = warning = error = critical = exception = log = fatal = msg


class Line(TypedDict):
    """What the log tells of each API request; `method` and `route` are of our own making."""

    method: str
    route: str
    status: int
    milliseconds: float
    request_id: str


class RequestLines:
    """Writes the line of each API request in production, in the form of the others.

    Going through all of structlog for it cost as much as the rest of a read from the cache.
    """

    def __init__(self) -> None:
        self._logger: LineLogger | None = None
        self._second = (0, "")

    def write_to(self, logger: LineLogger | None) -> None:
        """Write there from now on; None: leave it to structlog."""
        self._logger = logger

    def write(self, *, why: Mapping[str, str] | None = None, **line: Unpack[Line]) -> bool:
        """Write one line; False when it is left to structlog.

        `why` says of a refused request what a person asks first.
        """
        if self._logger is None:
            return False
        request_id = redact(line["request_id"])
        now = time.time()  # a log line tells the real time, whatever a test's clock says
        second = int(now)
        if second != self._second[0]:
            self._second = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
        told = "".join(f'"{name}":{msgspec.json.encode(redact(text)).decode()},' for name, text in (why or {}).items())
        self._logger.msg(
            f'{{"method":"{line["method"]}","route":"{line["route"]}","status":{line["status"]},'
            f'"milliseconds":{line["milliseconds"]:.2f},'
            f'"request_id":"{request_id}",{told}"event":"request","level":"info","logger":"{self._logger.name}",'
            f'"timestamp":"{self._second[1]}.{int(now % 1 * 1_000_000):06d}Z"}}'
        )
        return True


REQUEST_LINES: Final = RequestLines()


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Renders libraries' records; our own come rendered."""

    def format(self, record: logging.LogRecord) -> str:
        if hasattr(record, _RENDERED):
            return str(record.msg)
        try:
            record.getMessage()
        except (TypeError, ValueError, KeyError):  # the standard library would print the arguments as they are
            record.msg, record.args = f"{record.msg} (its arguments do not fit)", ()
        return super().format(record)


def configure_logging(settings: Settings) -> None:
    """Set up structlog and the standard library's loggers, to standard error and, when set, `LOG_FILE`."""
    given: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.format_exc_info,
        redact_event,
    ]
    marks: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=_to_json)
        if settings.production
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    file = (
        logging.handlers.RotatingFileHandler(settings.log_file, maxBytes=FILE_BYTES, backupCount=FILES_KEPT)
        if settings.log_file
        else None
    )
    structlog.configure(
        processors=[*given, *marks, renderer],
        logger_factory=lambda name="payment_service", *_: LineLogger(name, file),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.log_level)),
        cache_logger_on_first_use=True,
    )
    fast = settings.production and settings.log_level in {"DEBUG", "INFO"}
    REQUEST_LINES.write_to(LineLogger("payment_service.http", file) if fast else None)
    handlers = [handler for handler in (logging.StreamHandler(sys.stderr), file) if handler is not None]
    processors = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
    for handler in handlers:
        handler.setFormatter(_Formatter(foreign_pre_chain=[*marks, *given], processors=processors))
    root = logging.getLogger()
    root.handlers[:] = handlers
    root.setLevel(settings.log_level)
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False  # a line that cannot be written would be printed raw
    for noisy in ("uvicorn.access", "aiosqlite", "stripe", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _to_json(event: EventDict, **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()

"""Turns what was raised into what the caller is told; the rest goes to the log."""

from __future__ import annotations

import structlog

from payment_service import errors
from payment_service.observability.metrics import DATABASE_ERRORS
from payment_service.storage.database import is_busy, is_unavailable

log = structlog.get_logger("payment_service.http_api")


def to_problem(error: Exception) -> errors.PaymentsError:
    """Return the error to answer with: 503 while the database is away or busy, else 500."""
    if isinstance(error, errors.PaymentsError):
        return error
    if is_busy(error):
        DATABASE_ERRORS.labels("busy").inc()
        log.warning("database_busy", error=type(error).__name__)
        return errors.ServiceUnavailable("The database is busy with the same rows; try again", retry_after=1)
    if is_unavailable(error):
        DATABASE_ERRORS.labels("request").inc()
        log.warning("database_unavailable", error=type(error).__name__)
        return errors.ServiceUnavailable("The database cannot be reached; try again", retry_after=5)
    log.error("unexpected_error", exc_info=error)
    return errors.PaymentsError("An unexpected error; it is logged under the request id")

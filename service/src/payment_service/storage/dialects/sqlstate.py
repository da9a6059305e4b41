"""SQLSTATEs: the codes by which servers say what went wrong (ISO/IEC 9075)."""

from __future__ import annotations


def sqlstate(error: BaseException) -> str:
    """Return the SQLSTATE of a driver's or SQLAlchemy's error, or an empty string."""
    original = getattr(error, "orig", None) or error
    code = getattr(original, "sqlstate", None) or getattr(original.__cause__, "sqlstate", None)
    return code if isinstance(code, str) else ""

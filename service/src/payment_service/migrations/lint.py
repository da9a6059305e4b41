"""Finds statements that an expand migration must not hold, because the version that still runs would break.

Rules follow the expand and contract pattern (martinfowler.com/bliki/ParallelChange.html): while old pods serve, nothing
they use may go, change its name or type, or begin to refuse what they write.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_RULES: Final = (
    (re.compile(r"\bDROP\s+TABLE\b", re.IGNORECASE), "drops a table"),
    (re.compile(r"\bDROP\s+COLUMN\b", re.IGNORECASE), "drops a column"),
    (re.compile(r"\bRENAME\s+(?:TO|COLUMN)\b", re.IGNORECASE), "renames a table or column"),
    (re.compile(r"\bALTER\s+COLUMN\s+\S+\s+(?:SET\s+DATA\s+)?TYPE\b", re.IGNORECASE), "changes a column's type"),
    (re.compile(r"\bALTER\s+COLUMN\s+\S+\s+SET\s+NOT\s+NULL\b", re.IGNORECASE), "makes a column NOT NULL"),
    (
        re.compile(r"\bADD\s+COLUMN\b(?![^;]*\bDEFAULT\b)[^;]*\bNOT\s+NULL\b", re.IGNORECASE),
        "adds a NOT NULL column without a default",
    ),
    (re.compile(r"(?:^|;)\s*TRUNCATE\b|\bDELETE\s+FROM\s+(?!alembic_version)", re.IGNORECASE), "deletes rows"),
)
_FUNCTION: Final = re.compile(
    r"\bCREATE\s+(?:OR\s+REPLACE\s+)?FUNCTION\b[^;]*?\bAS\s+(?P<quote>\$\w*\$).*?(?P=quote)", re.IGNORECASE | re.DOTALL
)
"""Making a function runs none of its statements; a `DO` block runs them all."""
_INDEX: Final = re.compile(r"\bCREATE\s+(?:UNIQUE\s+)?INDEX\s+(?!CONCURRENTLY)\S+\s+ON\s+(?P<table>\w+)", re.IGNORECASE)
_CREATED: Final = re.compile(r"\bCREATE\s+TABLE\s+(?P<table>\w+)", re.IGNORECASE)


def lint(sql_by_number: Mapping[int, str]) -> tuple[str, ...]:
    """Return one sentence for each finding in expand migrations, given as schema number to SQL."""
    return tuple(finding for number, sql in sql_by_number.items() for finding in _lint_one(number, sql))


def _lint_one(number: int, sql: str) -> list[str]:
    sql = _FUNCTION.sub("", sql)
    findings = [f"migration {number} is declared expand but {what}" for rule, what in _RULES if rule.search(sql)]
    created = {match["table"] for match in _CREATED.finditer(sql)}
    findings += [
        f"migration {number} builds an index on the existing table {match['table']} without CONCURRENTLY"
        for match in _INDEX.finditer(sql)
        if match["table"] not in created
    ]
    return findings

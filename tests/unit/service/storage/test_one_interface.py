"""Where databases differ stands behind one interface in `storage/`: nothing else asks which one it is.

Migrations may: they are written for each database. And so may what the operator, which has no such interface, shares.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import payment_service
from payment_service.storage import dialects

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(payment_service.__file__).parent
INSIDE: Final = {"storage", "migrations"}
SHARED: Final = {"config/plaintext.py"}
NAMES: Final = {"postgresql", "postgres", "sqlite", "mysql", "mariadb"}
LIBRARIES: Final = {"asyncpg", "aiosqlite", "sqlite3", "psycopg", "asyncmy", "aiomysql", "pymysql"}
WORDS: Final = re.compile(
    r"\bpg_\w+|\bON (?:CONFLICT|DUPLICATE KEY)\b|\bSKIP LOCKED\b|\b(?:UN)?LISTEN\b|\bNOTIFY\b|\bGET_LOCK\b|\bPRAGMA\b"
    r"|\bjson_(?:each|extract)\b|\bjsonb_\w+|::(?:text|jsonb|bytea)\b"
)
MEMBERS: Final = {"sqlstate", "pgcode", "on_conflict_do_nothing", "on_conflict_do_update"}


def offences(source: str) -> Iterator[str]:
    """Find what asks for the database, or is worded for one."""
    tree = ast.parse(source)
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    prose = {
        id(statement.value)
        for node in ast.walk(tree)
        if isinstance(node, documented)
        for statement in node.body
        if isinstance(statement, ast.Expr)
    }
    for node in ast.walk(tree):
        if id(node) not in prose and (found := offence(node)):
            yield f"{getattr(node, 'lineno', 0)}: {found}"


def offence(node: ast.AST) -> str:
    """Return what is wrong with a node; empty: nothing."""
    match node:
        case ast.Constant(value=str(text)) if text in NAMES or WORDS.search(text):
            return repr(text)
        case ast.Attribute(attr="name", value=ast.Attribute(attr="dialect")):
            return "asks for the dialect's name"
        case ast.Attribute(attr=member) if member in MEMBERS or member.startswith("pg_"):
            return f".{member}"
        case ast.ImportFrom(module=str(module)) if is_of_one(module):
            return f"from {module}"
        case ast.Import(names=names) if any(is_of_one(alias.name) for alias in names):
            return f"import {names[0].name}"
    return ""


def is_of_one(module: str) -> bool:
    """Tell whether a module is about one database alone."""
    parts = module.split(".")
    ours = {"payment_service.storage.dialects", "payment_service.storage.dialects.interface"}
    return (
        parts[0] in LIBRARIES
        or module.startswith("sqlalchemy.dialects")
        or ("dialects" in parts and module not in ours and parts[0] == "payment_service")
    )


def test_nothing_outside_of_storage_asks_which_database_it_is() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{offender}"
        for path in sorted(ROOT.rglob("*.py"))
        if path.relative_to(ROOT).parts[0] not in INSIDE and str(path.relative_to(ROOT)) not in SHARED
        for offender in offences(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_rule_finds_each_kind_of_offence() -> None:
    lines = [
        'x = connection.dialect.name == "postgresql"',
        "from sqlalchemy.dialects import sqlite",
        "import asyncpg",
        'statement = "SELECT pg_notify()"',
        "s = insert(table).on_conflict_do_nothing()",
        "code = error.sqlstate",
        "from payment_service.storage.dialects.postgresql import PostgreSQL",
    ]
    assert [line for line in lines if not list(offences(line))] == []


def test_what_is_said_in_prose_is_no_offence() -> None:
    assert list(offences('"""On PostgreSQL, ON CONFLICT."""\nx = 1\n"""pg_notify."""\n')) == []


def test_every_database_has_a_name_and_schemes_of_its_own() -> None:
    schemes = [scheme for dialect in dialects.DIALECTS for scheme in dialect.schemes]
    assert len(schemes) == len(set(schemes))
    assert all(dialects.of_url(f"{scheme}+driver://host/name").name in NAMES for scheme in schemes)

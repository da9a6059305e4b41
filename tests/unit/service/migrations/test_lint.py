"""What an expand migration must not hold, and which migrations run."""

from __future__ import annotations

import pytest

from payment_service.migrations.history import Migration, history
from payment_service.migrations.lint import lint
from payment_service.migrations.runner import Plan, blocked, choose
from payment_service.migrations.support import APPLICATION_SCHEMA, REQUIRED_SCHEMA, SchemaSupport


def migration(number: int, phase: str = "expand") -> Migration:
    return Migration(number=number, revision=str(number), phase=phase, oldest_application=1, summary="")


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE customers",
        "ALTER TABLE customers DROP COLUMN email",
        "ALTER TABLE customers RENAME TO clients",
        "ALTER TABLE customers RENAME COLUMN email TO mail",
        "ALTER TABLE customers ALTER COLUMN id TYPE bigint",
        "ALTER TABLE customers ALTER COLUMN email SET NOT NULL",
        "ALTER TABLE customers ADD COLUMN age integer NOT NULL",
        "TRUNCATE customers",
        "DELETE FROM customers",
        "CREATE INDEX ix_a ON customers (email)",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ SELECT 1 $$; DELETE FROM customers",
        "DO $$ BEGIN DELETE FROM customers; END $$",
    ],
)
def test_a_destructive_statement_is_found(statement: str) -> None:
    assert len(lint({7: statement + ";"})) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE a (id text); CREATE INDEX ix_a ON a (id)",
        "ALTER TABLE customers ADD COLUMN age integer",
        "ALTER TABLE customers ADD COLUMN age integer DEFAULT 0 NOT NULL",
        "CREATE INDEX CONCURRENTLY ix_a ON customers (email)",
        "DELETE FROM alembic_version WHERE version_num = '1'",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ DELETE FROM customers $$",
    ],
)
def test_an_additive_statement_is_fine(statement: str) -> None:
    assert lint({7: statement + ";"}) == ()


def test_expand_stops_before_a_contract_migration() -> None:
    pending = (migration(2), migration(3, "contract"), migration(4))
    assert [m.number for m in choose(pending, contract=False, empty=False)] == [2]


def test_contract_runs_everything() -> None:
    pending = (migration(2), migration(3, "contract"))
    assert choose(pending, contract=True, empty=False) == pending


def test_an_empty_database_has_no_old_version_to_protect() -> None:
    pending = (migration(1), migration(2, "contract"))
    assert choose(pending, contract=False, empty=True) == pending


@pytest.mark.parametrize(("phases", "expected"), [(["contract"], False), (["contract", "expand"], True)])
def test_an_expand_migration_behind_a_contract_one_is_blocked(phases: list[str], expected: bool) -> None:  # noqa: FBT001 - a parameter
    pending = tuple(migration(number, phase) for number, phase in enumerate(phases, start=2))
    plan = Plan(current=1, target=1, pending=pending, runnable=(), sql="", findings=())
    assert blocked(plan) is expected


@pytest.mark.parametrize(
    ("database", "oldest", "supported"), [(1, 1, True), (0, 0, False), (7, 1, True), (7, 2, False)]
)
def test_support_compares_schema_numbers(database: int, oldest: int, supported: bool) -> None:  # noqa: FBT001 - a parameter
    numbers = SchemaSupport(database=database, oldest_application=oldest, application=1, required=1)
    assert numbers.supported is supported


def test_the_history_is_numbered_without_gaps_and_matches_the_application() -> None:
    numbers = [m.number for m in history()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers[-1] == APPLICATION_SCHEMA
    assert max(m.number for m in history() if m.phase == "expand") == REQUIRED_SCHEMA


def test_no_migration_supports_applications_newer_than_itself() -> None:
    assert all(1 <= m.oldest_application <= m.number for m in history())

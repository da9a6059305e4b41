"""Rules that the repository keeps."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

from sqlalchemy import REAL, BigInteger, Column, Double, Float, MetaData, Numeric, Table

from payment_service.migrations.schema import metadata
from payment_service.mirror.registry import KINDS

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for part in ("service", "simulator", "operator") for path in (ROOT / part / "src").rglob("*.py"))
OWN = [path for path in SOURCES if "versions" not in path.parts]
"""Without the migrations, which are long lists."""
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MODULE_LINES = 300
TEST_MODULE_LINES = 400
FUNCTION_LINES = 40
SUBJECT_CHARACTERS = 72
SUBJECTS_SINCE = "60d81e83"
"""The last commit before subjects were short."""
BODIES_SINCE = "20203f72"
"""The last commit that did not say why."""
TIME_SOURCES = {
    "clock.py",  # the one source of time
    "observability/logging.py",  # a line tells the real time
    "storage/ids.py",  # ids carry the wall clock; tests never move it
    "migrations/recorder.py",  # alembic calls it without our parts
    "smoke.py",  # signs as Stripe would, now
}
TASKS_OF_NOBODY = {
    "tasks.py",  # the one place
    "caching/cache.py",  # who begins a read holds its share for as long as it lasts
    "processes.py",  # processes and the worker: no caller is near
    "http/server.py",
    "events/applier.py",
    "events/worker.py",
}


def test_what_the_service_and_the_operator_share_is_the_same() -> None:
    for name in (
        "card_numbers.py",
        "mail_in_text.py",
        "printable.py",
        "redaction.py",
        "secret_patterns.py",
        "uncaught.py",
    ):
        folders = ("service/src/payment_service/observability", "operator/src/payment_operator")
        copies = [ROOT / folder / name for folder in folders]
        assert len({path.read_text() for path in copies}) == 1, "run `make shared`"
        assert name in (ROOT / "Makefile").read_text()


def test_operator_is_never_a_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_import_operator_from_the_root_is_the_standard_librarys() -> None:
    code = "import operator; print(operator.itemgetter(0)('x'))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "x"


def too_long(paths: list[Path], *, lines: int) -> dict[str, int]:
    """Return the modules that have more lines, with how many they have."""
    counted = {_name(path): len(path.read_text().splitlines()) for path in paths}
    return {name: count for name, count in counted.items() if count > lines}


def test_modules_are_small() -> None:
    assert too_long(OWN, lines=MODULE_LINES) == {}


def test_test_modules_are_small() -> None:
    assert too_long(TESTS, lines=TEST_MODULE_LINES) == {}


def test_functions_are_short() -> None:
    long = [
        f"{_name(path)}:{node.lineno} {node.name}"
        for path in OWN
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _code_lines(node) > FUNCTION_LINES
    ]
    assert long == []


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of the body without its docstring and without returned literals, which are data."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    data = sum(
        (inner.end_lineno or 0) - inner.lineno
        for inner in body
        if isinstance(inner, ast.Return) and isinstance(inner.value, ast.Dict)
    )
    return (node.end_lineno or 0) - body[0].lineno + 1 - data if body else 0


def test_time_comes_from_the_clock() -> None:
    service = ROOT / "service/src/payment_service"
    naked = [
        f"{_name(path)}:{node.lineno}"
        for path in SOURCES
        if path.is_relative_to(service) and str(path.relative_to(service)) not in TIME_SOURCES
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in {("datetime", "now"), ("time", "time"), ("datetime", "utcnow")}
    ]
    assert naked == []


def test_no_stripe_call_is_written_inside_a_transaction() -> None:
    """The gateway refuses those through helpers too, when they run: `tests/integration/test_unknown_outcomes.py`."""
    offending = [
        f"{_name(path)}:{inner.lineno}"
        for path in SOURCES
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.AsyncWith) and any(_opens_transaction(item.context_expr) for item in node.items)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Await) and _calls_stripe(inner.value)
    ]
    assert offending == []


def _opens_transaction(expression: ast.expr) -> bool:
    call = expression.func if isinstance(expression, ast.Call) else expression
    return isinstance(call, ast.Attribute) and call.attr in {"transaction", "advance", "finish", "begin"}


def _calls_stripe(expression: ast.expr) -> bool:
    call = expression.func if isinstance(expression, ast.Call) else expression
    if not isinstance(call, ast.Attribute):
        return False
    owner = call.value
    name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
    return name in {"calls", "stripe_calls", "_gateway", "gateway"}


def test_no_task_that_several_wait_for_counts_for_the_caller_who_began_it() -> None:
    """`tasks.begin` does: a task has the context of who makes it, and so would wait in that caller's share."""
    service = ROOT / "service/src/payment_service"
    naked = [
        f"{_name(path)}:{node.lineno}"
        for path in sorted(service.rglob("*.py"))
        if str(path.relative_to(service)) not in TASKS_OF_NOBODY
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Attribute) and node.attr in {"create_task", "ensure_future"}
    ]
    assert naked == [], "begin it with `tasks.begin`"


def inexact(table: Table) -> list[str]:
    return [str(column) for column in table.columns if isinstance(column.type, Numeric | Float)]


def test_no_amount_is_a_float() -> None:
    made_up = Table(
        "t", MetaData(), *(Column(kind.__name__, kind) for kind in (Numeric, Float, Double, REAL, BigInteger))
    )
    assert inexact(made_up) == ["t.Numeric", "t.Float", "t.Double", "t.REAL"]
    assert metadata.tables.keys() >= {kind.table.name for kind in KINDS.values()}
    assert sum(len(table.columns) for table in metadata.tables.values()) > 200
    assert [found for table in metadata.sorted_tables for found in inexact(table)] == []


def commits(since: str) -> list[tuple[str, str]]:
    """Return subject and body of the commits after one; a shallow clone or an archive has none, CI's clone has all."""
    command = ["git", "log", "--no-merges", "--format=%s%x00%b%x01", f"{since}..HEAD"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = answer.stdout.split("\x01")[:-1] if answer.returncode == 0 else []
    return [(subject.strip(), body.strip()) for subject, _, body in (text.partition("\0") for text in found)]


def test_commit_subjects_are_short() -> None:
    assert [subject for subject, _ in commits(SUBJECTS_SINCE) if len(subject) > SUBJECT_CHARACTERS] == []


def test_commits_say_why() -> None:
    assert [subject for subject, body in commits(BODIES_SINCE) if not body] == []


def numbers_for_nothing(source: str) -> list[int]:
    """Return the lines where `or` puts another number than zero in the place of a member that may be zero."""
    found = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or)
    ]
    return [
        node.lineno
        for node in found
        if any(map(_is_member, node.values)) and any(map(_is_positive_number, node.values[1:]))
    ]


def _is_member(node: ast.expr) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(node, ast.Subscript) or (isinstance(called, ast.Attribute) and called.attr == "get")


def _is_positive_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in {int, float} and node.value != 0


def test_no_zero_in_what_others_say_is_taken_for_a_missing_number() -> None:
    assert numbers_for_nothing('seats = item.get("quantity") or 1') == [1]
    found = {_name(path): lines for path in SOURCES if (lines := numbers_for_nothing(path.read_text()))}
    assert found == {}, "0 is a number too: say `1 if value is None else value`"

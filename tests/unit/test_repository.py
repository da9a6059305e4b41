"""Rules that the repository keeps."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for part in ("service", "operator") for path in (ROOT / part / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MODULE_LINES = 300
TEST_MODULE_LINES = 400
FUNCTION_LINES = 40
TIME_SOURCES = {
    "platform/clock.py",  # the one source of time
    "platform/logging.py",  # a line tells the real time
    "platform/ids.py",  # ids carry the wall clock; tests never move it
    "migrations/recording.py",  # alembic calls it without our parts
    "smoke.py",  # signs as Stripe would, now
}


def test_operator_is_never_a_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_import_operator_from_the_root_is_the_standard_librarys() -> None:
    code = "import operator; print(operator.itemgetter(0)('x'))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "x"


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if "versions" not in path.parts], ids=lambda path: str(path.relative_to(ROOT))
)
def test_a_module_is_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MODULE_LINES


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_test_module_is_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= TEST_MODULE_LINES


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if "versions" not in path.parts], ids=lambda path: str(path.relative_to(ROOT))
)
def test_functions_are_short(path: Path) -> None:
    long = [
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _code_lines(node) > FUNCTION_LINES
    ]
    assert long == []


def _code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of the body without its docstring and without returned literals, which are data."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    data = sum(
        (inner.end_lineno or 0) - inner.lineno
        for inner in body
        if isinstance(inner, ast.Return) and isinstance(inner.value, ast.Dict)
    )
    return (node.end_lineno or 0) - body[0].lineno + 1 - data if body else 0


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if "payment_service" in path.parts], ids=lambda path: str(path.relative_to(ROOT))
)
def test_time_comes_from_the_clock(path: Path) -> None:
    relative = str(path.relative_to(ROOT / "service/src/payment_service"))
    naked = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in {("datetime", "now"), ("time", "time"), ("datetime", "utcnow")}
    ]
    assert not naked or relative in TIME_SOURCES


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_stripe_call_waits_inside_a_transaction(path: Path) -> None:
    offending = [
        inner.lineno
        for node in ast.walk(ast.parse(path.read_text()))
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
    return name in {"stripe_calls", "_gateway", "gateway"}


def test_no_amount_is_a_float() -> None:
    tables = (ROOT / "service/src/payment_service/tables.py").read_text()
    assert "Float" not in tables
    assert "Numeric" not in tables

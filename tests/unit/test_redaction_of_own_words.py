"""What we say ourselves reads as it was written: redaction finds no secret in a sentence of ours."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

from payment_service.observability.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SHAPES = (
    "SCRAM-SHA-256$",
    "user:password@",
    "word:word@",
    "PASSWORD '",
    "Authorization: Bearer word\r\n",
    "FOREACH name IN ARRAY",
)
"""What shows where a secret goes; SQL and HTTP with a secret in it."""


def sentences(tree: ast.Module) -> Iterator[str]:
    """Yield each text with a space in it; what is put into one when it is said becomes a word."""
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    for node in ast.walk(tree):
        if id(node) in parts | statements:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "word" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.value


def test_no_sentence_of_ours_loses_a_word() -> None:
    files = [
        path
        for package in ("service/src/payment_service", "operator/src/payment_operator")
        for path in (ROOT / package).rglob("*.py")
        if path.name not in {"redaction.py", "secret_patterns.py"}
    ]
    said = [(path.name, text) for path in files for text in sentences(ast.parse(path.read_text()))]
    assert len(said) > 1000
    lost = [
        (name, text, redact(text))
        for name, text in said
        if redact(text) != text and not any(shape in text for shape in SHAPES)
    ]
    assert lost == []

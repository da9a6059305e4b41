"""`Any` switches the type checker off: at most ten lines in a thousand of the service may name it, imports included.

A name that stands for a type with `Any` in it counts as `Any` wherever it is used.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import payment_service

PER_THOUSAND = 10
ROOT = Path(payment_service.__file__).parent


def standing_for_any(sources: list[str]) -> set[str]:
    """Return the names of types that hold `Any`, also through one another."""
    types = [
        (target.id, {found.id for found in ast.walk(node.value) if isinstance(found, ast.Name)})
        for source in sources
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Subscript | ast.BinOp | ast.Name)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    ]
    found = {"Any"}
    while more := {name for name, used in types if used & found} - found:
        found |= more
    return found


def lines_with_any(sources: dict[str, str]) -> list[str]:
    names = re.compile(rf"\b(?:{'|'.join(sorted(standing_for_any([*sources.values()])))})\b")
    return [
        f"{name}: {line.strip()}"
        for name, source in sources.items()
        for line in source.splitlines()
        if names.search(line)
    ]


def test_an_alias_hides_nothing() -> None:
    aliased = "Objects = dict[str, Any]\nPages = list[Objects]"
    assert standing_for_any([aliased]) == {"Any", "Objects", "Pages"}
    assert len(lines_with_any({"a": aliased, "b": "x: Pages = 1\ny = 2"})) == 3


def test_any_stands_in_few_lines() -> None:
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in sorted(ROOT.rglob("*.py"))}
    found = lines_with_any(sources)
    assert len(found) * 1000 <= PER_THOUSAND * sum(len(source.splitlines()) for source in sources.values()), found

"""Parts are whole when they are made: the modules that build them set nothing on them afterwards."""

from __future__ import annotations

import ast
from pathlib import Path

import payment_service

BUILDERS = ("bootstrap.py", "billing.py", "working.py")


def test_parts_are_wired_where_they_are_made() -> None:
    root = Path(payment_service.__file__).parent
    late = [
        f"{name}:{node.lineno}: {ast.unparse(node)}"
        for name in BUILDERS
        for node in ast.walk(ast.parse((root / name).read_text()))
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute)
    ]
    assert late == []

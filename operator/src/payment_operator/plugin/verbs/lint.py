"""``lint -f``: says what the API server would refuse, without one."""

import sys
from pathlib import Path
from typing import Any

from payment_operator import names
from payment_operator.plugin.context import Context
from payment_operator.plugin.errors import WrongUsage
from payment_operator.plugin.lint.documents import documents
from payment_operator.plugin.lint.rules import broken
from payment_operator.plugin.lint.schema import openapi_schema
from payment_operator.plugin.lint.structure import problems, with_defaults


def lint(context: Context) -> int:
    """Check every PaymentEnvironment of the files; 1 when one is wrong."""
    found: list[dict[str, Any]] = []
    others = 0
    for path in (file for named in context.options.filename for file in files(named)):
        stdin = sys.stdin.read() if path == "-" else None
        for document in documents(context.kubectl, path, stdin=stdin):
            if document.get("kind") != names.KIND:
                others += 1
                continue
            name = document.get("metadata", {}).get("name", "")
            found.append({"file": path, "name": name, "problems": check(document)})
    if not found:
        raise WrongUsage("no PaymentEnvironment in these files", fix="name the file that holds one: lint -f FILE")
    context.output.show(_screen(context, found, others), found)
    return int(any(entry["problems"] for entry in found))


def files(named: str) -> list[str]:
    """Return the files of a folder that kubectl would read, so that each is named; anything else as it is."""
    folder = Path(named)
    if not folder.is_dir():
        return [named]
    return sorted(str(path) for path in folder.iterdir() if path.suffix in {".yaml", ".yml", ".json"})


def check(document: dict[str, Any]) -> list[str]:
    """Return what is wrong with one resource, each with its fix."""
    version = document.get("apiVersion")
    if version != names.API_VERSION:
        return [f"apiVersion: {version} is not served; use {names.API_VERSION}"]
    schema = openapi_schema()
    wrong = list(problems(document, schema))
    # rules look into fields that a broken structure may lack
    return wrong or list(broken(with_defaults(document, schema), schema))


def _screen(context: Context, found: list[dict[str, Any]], others: int) -> list[str]:
    style = context.output.style
    lines: list[str] = []
    for entry in found:
        wrong = entry["problems"]
        head = f"{style.sign('failed' if wrong else 'done')} {entry['file']}: {entry['name']}"
        lines.append(style.paint(head, "red" if wrong else "green"))
        lines += [f"    {problem}" for problem in wrong]
    if others:
        lines.append(f"{others} other object{'' if others == 1 else 's'} not checked")
    return lines

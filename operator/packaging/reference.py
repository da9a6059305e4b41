"""Writes docs/reference/paymentenvironment.md and environmentrequest.md from the CRDs: ``make operator-reference``."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from payment_operator.api import crd, request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from payment_operator.api.column import Column

FOLDER: Final = Path(__file__).parents[2] / "docs/reference"
LINE_CHARACTERS: Final = 120
Schema = dict[str, Any]

ENVIRONMENT: Final = """# PaymentEnvironment

`payments.leanconstruction.io/v1alpha1`, short name `penv`, in a namespace. Generated from the kind's own schema
(`make operator-reference`); `kubectl explain penv.spec.release` prints the same texts. Samples:
[k8s/samples](../../k8s/samples). What a change sets off:
[what happens during a release](../what-happens-during-a-release.md).

*object* without fields of its own below is passed through as Kubernetes knows it.
"""


LINT: Final = "; `kubectl payments lint -f FILE` says so without a cluster"
REQUEST: Final = """# EnvironmentRequest

`payments.leanconstruction.io/v1alpha1`, short name `ereq`, in the namespace of its
[PaymentEnvironment](paymentenvironment.md). Generated from the kind's own schema (`make operator-reference`).
`kubectl payments` makes them; `kubectl get ereq` is the history. What each verb does:
[releases](../releases.md#requests), [rotation](../rotation.md).
"""


def pages() -> dict[str, str]:
    """Return the whole pages, by name."""
    return {
        "paymentenvironment.md": _page(ENVIRONMENT, crd.openapi_schema(), crd.COLUMNS, said=LINT),
        "environmentrequest.md": _page(REQUEST, request.openapi_schema(), request.COLUMNS),
    }


def _page(head: str, schema: Schema, columns: tuple[Column, ...], *, said: str = "") -> str:
    properties = schema["properties"]
    parts = [head, "## Spec", _table("spec", properties["spec"]), *_sections("spec", properties["spec"])]
    parts += ["## Status", _table("status", properties["status"]), *_sections("status", properties["status"])]
    parts += ["## Rules", _rules(schema, said), "## Columns of kubectl get", _columns(columns)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _sections(path: str, schema: Schema) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        inner = field.get("items", field)
        if inner.get("properties"):
            where = f"{path}.{name}" + ("[]" if "items" in field else "")
            yield f"### {where}"
            yield _table(where, inner)
            yield from _sections(where, inner)


def _table(path: str, schema: Schema) -> str:
    required = set(schema.get("required", []))
    rows = [f"| Field of `{path}` | Type | Default | Meaning |", "|---|---|---|---|"]
    for name, field in schema["properties"].items():
        default = "required" if name in required else _default(field)
        rows.append(f"| `{name}` | {_type(field)} | {default} | {field.get('description', '')} |")
    return "\n".join(rows)


def _type(field: Schema) -> str:
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"])
    kind = str(field["type"])
    if kind == "array":
        items, comma, limit = _type(field["items"]).partition(", ")
        return f"list of {items}s{comma}{limit}"
    if kind == "object" and "additionalProperties" in field:
        return "map of strings"
    if "maxLength" in field:
        return f"{kind}, at most {field['maxLength']} characters"
    limits = [f"{sign} {field[key]}" for key, sign in (("minimum", "≥"), ("maximum", "≤")) if key in field]
    return f"{kind} {', '.join(limits)}".strip()


def _default(field: Schema) -> str:
    if "default" not in field:
        return ""
    if field.get("properties"):
        return "as below"
    return f"`{json.dumps(field['default'])}`"


def _rules(schema: Schema, said: str) -> str:
    lines = [f"The API server refuses what breaks one of these{said}.", ""]
    lines += [_filled(f"- `{path or 'the resource'}`: {message}") for path, message in _messages("", schema)]
    return "\n".join(lines)


def _filled(item: str) -> str:
    return textwrap.fill(item, LINE_CHARACTERS, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _messages(path: str, schema: Schema) -> Iterator[tuple[str, str]]:
    for entry in schema.get("x-kubernetes-validations", []):
        yield path, entry["message"]
    for name, field in schema.get("properties", {}).items():
        yield from _messages(f"{path}.{name}".lstrip("."), field)


def _columns(columns: tuple[Column, ...]) -> str:
    rows = ["| Column | Path | Shown |", "|---|---|---|"]
    rows += [
        f"| {entry.name} | `{entry.path}` | {'with -o wide' if entry.priority else 'always'} |" for entry in columns
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{FOLDER / name}\n")

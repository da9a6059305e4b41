"""No id leaves its place in a path of Stripe's, and nobody builds such a path by hand."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
import yarl
from hypothesis import given
from hypothesis import strategies as st

from payment_operator.clients.stripe_http import address
from payment_service.stripe_api.paths import UnsafeSegment, stripe_path

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[4]
SOURCES = [
    path
    for package in ("service/src/payment_service", "operator/src/payment_operator")
    for path in sorted((ROOT / package).rglob("*.py"))
]
BUILDERS = {"paths.py", "stripe_http.py"}
STRIPE_PATH = re.compile(r"/?v[12]/[a-z_{]")
CALLS = {"request", "call", "_call"}


@pytest.mark.parametrize("segment", ["", ".", "..", "a\x00", "a\r\nX: y", "\x7f", "\x85", "\ud800", "a" * 256])
def test_what_can_be_no_id_is_refused(segment: str) -> None:
    with pytest.raises(UnsafeSegment):
        stripe_path("customers", segment)
    if len(segment) < 256:
        with pytest.raises(ValueError, match="an id for Stripe"):
            address("https://api.stripe.com", "customers", segment)


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_a_segment_stays_one_segment_on_its_way_through_the_client(segment: str) -> None:
    try:
        path = stripe_path("customers", segment, "sources")
    except UnsafeSegment:
        return
    for url in (f"https://api.stripe.com{path}", address("https://api.stripe.com", "customers", segment, "sources")):
        sent = yarl.URL(url).raw_path_qs
        version, collection, held, action = sent.removeprefix("/").split("/")
        assert (version, collection, unquote(held), action) == ("v1", "customers", segment, "sources")


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield every text of a module that is no docstring, f-strings with their holes as {}."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield node.lineno, "".join(map(str, parts))


def hand_built(source: str) -> list[int]:
    """Return the lines that hold a path of Stripe's, or give a call a segment that is put together on the spot."""
    tree = ast.parse(source)
    found = [line for line, text in texts(tree) if STRIPE_PATH.match(text.lstrip("{}")) and "/api/" not in text.lower()]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS:
            found += [part.lineno for part in node.args if isinstance(part, ast.JoinedStr | ast.BinOp)]
    return found


def test_no_module_but_the_builders_holds_a_path_of_stripes() -> None:
    faults = {
        str(path.relative_to(ROOT)): lines
        for path in SOURCES
        if path.name not in BUILDERS and (lines := hand_built(path.read_text()))
    }
    assert not faults


@pytest.mark.parametrize(
    "line",
    [
        'await gateway.request("retrieve_price", "get", f"/v1/prices/{price_id}")',
        'path = "/v1/prices/" + price_id',
        'await gateway.call("a", "get", "prices", f"{price}/x")',
        'await gateway.call("a", "get", "prices" + price)',
        'url = f"{base}/v1/events"',
        'path = "/v1/prices/%s" % price',
    ],
)
def test_the_search_finds_each_way_to_build_one(line: str) -> None:
    assert hand_built(f"async def made() -> None:\n    {line}\n")

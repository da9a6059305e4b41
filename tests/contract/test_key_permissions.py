"""The permissions that the operator asks of an API key are those of the service's calls to Stripe, and no more."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import payment_service
from payment_operator.api.api_key import COLLECTIONS, NEEDED
from payment_service.mirror.registry import KINDS
from payment_service.stripe_api import calls as stripe_calls
from payment_service.stripe_api import change_calls, refund_calls
from stripe_simulator.routes import PERMISSIONS

Access = tuple[str, str]
"""A resource in Stripe's names, and `read` or `write`."""


def access(method: str, collection: str) -> Access:
    return PERMISSIONS[collection.replace("/", ".")], "read" if method == "get" else "write"


def calls(tree: ast.AST, *names: str) -> list[ast.Call]:
    """The calls of these functions."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in found if isinstance(call.func, ast.Attribute) and call.func.attr in names]


def text(node: ast.expr) -> str:
    """A string that is written out."""
    return str(node.value) if isinstance(node, ast.Constant) else ""


def written_out() -> set[Access]:
    """The calls in the modules of stripe_api/ whose collection stands there."""
    found = set()
    for module in (stripe_calls, change_calls, refund_calls):
        for call in calls(ast.parse(inspect.getsource(module)), "request", "call"):
            _, method, first, *_ = call.args
            if collection := text(first):
                found.add(access(text(method), collection))
    return found


def by_collection() -> set[Access]:
    """The calls of `retrieve` and `list_page`, which take any collection: those of the mirror, and named ones."""
    found = {access("get", target.collection) for target in KINDS.values()}
    for path in Path(inspect.getfile(payment_service)).parent.rglob("*.py"):
        for call in calls(ast.parse(path.read_text()), "retrieve", "list_page"):
            of_stripe = isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in {
                "calls",
                "stripe_calls",
            }
            if of_stripe and (collection := text(call.args[1])):
                found.add(access("get", collection))
    return found


def test_the_permissions_asked_for_are_those_of_the_service_s_calls() -> None:
    found = written_out() | by_collection()
    assert ("customer", "write") in found
    assert ("event", "read") in found
    writes = {resource for resource, kind in found if kind == "write"}
    strongest = {f"{resource}_{'write' if resource in writes else 'read'}" for resource, _ in found}
    assert strongest == set(NEEDED)


def test_each_permission_is_tried_at_an_address_that_it_guards() -> None:
    assert {PERMISSIONS[collection.replace("/", ".")]: collection for collection in COLLECTIONS.values()} == COLLECTIONS

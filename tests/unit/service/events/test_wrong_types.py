"""Whatever a row is made of is declared, and what is not as declared is refused by the member's name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.wrong_types import SHAPES, Path, declared, dotted, options, whole, with_value, wrong

from payment_service.mirror.registry import KINDS
from payment_service.stripe_api.objects import StripeUnreadable

CANARY = "canary@example.com"


def only_declared(value: Any, kind: str, path: Path = ()) -> Any:
    """Return the object without the members that its shape does not name."""
    if isinstance(value, list):
        return [only_declared(one, kind, (*path, 0)) for one in value]
    if not isinstance(value, dict) or path[:1] == ("metadata",):
        return value
    return {
        name: only_declared(inner, kind, (*path, name))
        for name, inner in value.items()
        if (*path, name) in declared(kind)
    }


@pytest.mark.parametrize("kind", SHAPES)
def test_no_member_is_read_that_is_not_declared(kind: str) -> None:
    objects = [whole(kind), whole(kind) | {"deleted": True}]
    objects += [
        with_value(whole(kind), path, None) for path, type_ in declared(kind).items() if type(None) in options(type_)
    ]
    for obj in objects:
        assert len(only_declared(obj, kind)) >= 5
        assert KINDS[kind].columns(only_declared(obj, kind)) == KINDS[kind].columns(obj)


@pytest.mark.parametrize("kind", SHAPES)
def test_what_is_not_as_declared_is_refused_by_name(kind: str) -> None:
    KINDS[kind].columns(whole(kind))
    found = list(wrong(kind))
    assert {name for name, _ in found} == {dotted(path) for path in declared(kind)}
    for name, obj in found:
        with pytest.raises(StripeUnreadable) as raised:
            KINDS[kind].columns(obj)
        assert f"'s {name}" in raised.value.problem
        assert "`" not in raised.value.problem


@pytest.mark.parametrize("kind", SHAPES)
def test_what_must_be_there_is_missed_by_name(kind: str) -> None:
    required = [field.encode_name for field in msgspec.structs.fields(SHAPES[kind]) if field.required]
    assert "livemode" in required
    for name in required:
        obj = {key: value for key, value in whole(kind).items() if key != name}
        with pytest.raises(StripeUnreadable, match=f"'s {name} is missing"):
            KINDS[kind].columns(obj)


def test_a_reason_holds_nothing_of_the_object() -> None:
    reasons = []
    for kind in SHAPES:
        for path in declared(kind):
            for value in ([CANARY], {CANARY: 7}, {CANARY: [CANARY]}):
                try:
                    KINDS[kind].columns(with_value(whole(kind), path, value))
                except StripeUnreadable as error:
                    reasons.append(str(error))
    assert len(reasons) > len(SHAPES) * 20
    assert not [reason for reason in reasons if CANARY in reason]

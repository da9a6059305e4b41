"""Whatever a row is made of is declared, and what is not as declared is refused by the member's name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.wrong_types import SHAPES, Path, declared, dotted, options, whole, with_value, wrong

from payment_service.mirror.kinds import TARGETS
from payment_service.stripe_api.objects import StripeUnreadable

CANARY = "canary@example.com"


class Watched(dict[str, Any]):
    """An object that notes which of its members are asked for."""

    def __init__(self, content: dict[str, Any], path: Path, asked: set[Path]) -> None:
        super().__init__({name: watched(value, (*path, name), asked) for name, value in content.items()})
        self.path = path
        self.asked = asked

    def __getitem__(self, name: str) -> Any:
        self.asked.add((*self.path, name))
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.asked.add((*self.path, str(name)))
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add((*self.path, name))
        return super().get(name, default)


def watched(value: Any, path: Path, asked: set[Path]) -> Any:
    if isinstance(value, dict):
        return Watched(value, path, asked)
    return [watched(one, (*path, 0), asked) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("kind", SHAPES)
def test_no_member_is_read_that_is_not_declared(kind: str) -> None:
    asked: set[Path] = set()
    objects = [whole(kind), whole(kind) | {"deleted": True}]
    objects += [
        with_value(whole(kind), path, None) for path, type_ in declared(kind).items() if type(None) in options(type_)
    ]
    for obj in objects:
        TARGETS[kind].columns(Watched(obj, (), asked))
    within_metadata = {path for path in asked if path[0] == "metadata"}
    assert len(asked) >= 5
    assert {path for path in asked if path not in declared(kind)} <= within_metadata


def test_every_kind_that_has_rows_declares_its_shape() -> None:
    assert SHAPES.keys() == TARGETS.keys()


@pytest.mark.parametrize("kind", SHAPES)
def test_what_is_not_as_declared_is_refused_by_name(kind: str) -> None:
    TARGETS[kind].columns(whole(kind))
    found = list(wrong(kind))
    assert {name for name, _ in found} == {dotted(path) for path in declared(kind)}
    for name, obj in found:
        with pytest.raises(StripeUnreadable) as raised:
            TARGETS[kind].columns(obj)
        assert f"'s {name}" in raised.value.problem
        assert "`" not in raised.value.problem


@pytest.mark.parametrize("kind", SHAPES)
def test_what_must_be_there_is_missed_by_name(kind: str) -> None:
    required = [field.encode_name for field in msgspec.structs.fields(SHAPES[kind]) if field.required]
    assert "livemode" in required
    for name in required:
        obj = {key: value for key, value in whole(kind).items() if key != name}
        with pytest.raises(StripeUnreadable, match=f"'s {name} is missing"):
            TARGETS[kind].columns(obj)


def test_a_reason_holds_nothing_of_the_object() -> None:
    reasons = []
    for kind in SHAPES:
        for path in declared(kind):
            for value in ([CANARY], {CANARY: 7}, {CANARY: [CANARY]}):
                try:
                    TARGETS[kind].columns(with_value(whole(kind), path, value))
                except StripeUnreadable as error:
                    reasons.append(str(error))
    assert len(reasons) > len(SHAPES) * 20
    assert not [reason for reason in reasons if CANARY in reason]

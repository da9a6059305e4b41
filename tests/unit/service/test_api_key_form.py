"""The form of API keys, and what is derived from SECRET_KEY."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from payment_service.access import form
from payment_service.access.secret_keys import SecretKeys, derive
from payment_service.config.secrets import Secret
from payment_service.errors import ServiceUnavailable

if TYPE_CHECKING:
    from pathlib import Path

A, B = "a1b2c3d4" * 5, "e5f6a7b8" * 5
LIVE = form.Key("lp_live_" + "0" * 43, livemode=True)


def made(*, livemode: bool = False, value: str = A) -> form.Key:
    key = form.parse(form.new_key(livemode=livemode, secret_key=derive(value)))
    assert key is not None
    return key


@pytest.mark.parametrize("mode", ["live", "test"])
def test_a_key_says_its_mode_and_is_one_word_for_scanners(mode: str) -> None:
    for _ in range(50):
        key = made(livemode=mode == "live")
        assert re.fullmatch(rf"\blp_{mode}_[0-9A-Za-z]{{43}}\b", key.text)
        assert key.livemode is (mode == "live")


def test_two_keys_share_nothing_but_the_prefix() -> None:
    assert len({made().text[8:16] for _ in range(200)}) == 200


def test_the_mac_verifies_under_any_of_the_values_and_names_it() -> None:
    first, second = derive(A), derive(B)
    assert form.made_under(made(value=A), [first, second]) == first
    assert form.made_under(made(value=B), [first, second]) == second
    assert form.made_under(made(value=B), [first]) is None


def test_no_character_of_a_key_can_be_changed() -> None:
    text = made().text
    for place in range(3, len(text)):
        other = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        key = form.parse(other)
        assert key is None or form.made_under(key, [derive(A)]) is None, place


def test_a_test_key_cannot_be_made_a_live_one() -> None:
    key = form.parse(made().text.replace("lp_test_", "lp_live_"))
    assert key is not None
    assert form.made_under(key, [derive(A)]) is None


@pytest.mark.parametrize(
    "text",
    ["", "lp_", "lp_test_", LIVE.text[:-1], LIVE.text + "0", " " + LIVE.text, LIVE.text + "\n", LIVE.text.upper()]
    + [LIVE.text.replace("live", mode) for mode in ("prod", "Live", "")]
    + [LIVE.text[:-1] + end for end in ("-", "_", "é", "٣", "\x00")],
)
def test_another_form_is_no_key(text: str) -> None:
    assert form.parse(text) is None


def test_what_is_derived_differs_by_purpose_and_by_value() -> None:
    derived = {*derive(A), *derive(B)}
    assert len(derived) == 6
    assert derive(A) == derive(A)
    assert not derived & {A, B, A.encode(), B.encode()}


def test_the_first_value_comes_first_and_a_changed_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payment_service.config.secrets.RECHECK_SECONDS", 0.0)
    file = tmp_path / "SECRET_KEY"
    file.write_text(A)
    keys = SecretKeys(Secret(path=file), production=True)
    assert keys.current() == (derive(A),)
    file.write_text(f"{B},{A}\n")
    assert keys.current() == (derive(B), derive(A))


@pytest.mark.parametrize("broken", ["", "short", f"{A},", f"{B},short", f"{A},{A}"])
def test_a_file_that_became_unusable_leaves_the_last_values_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    monkeypatch.setattr("payment_service.config.secrets.RECHECK_SECONDS", 0.0)
    file = tmp_path / "SECRET_KEY"
    file.write_text(A)
    keys = SecretKeys(Secret(path=file), production=True)
    keys.current()
    file.write_text(broken)
    assert keys.current() == (derive(A),)


def test_without_any_value_nothing_is_signed() -> None:
    with pytest.raises(ServiceUnavailable, match="try again later"):
        SecretKeys(Secret(""), production=True).current()

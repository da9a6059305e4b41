"""The form by which addresses are compared: one mailbox one form, two mailboxes two."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_service.mail_addresses import mail_key

SAME = [
    ("Ada@Example.com", "ada@example.COM"),
    ("ada@bücher.example", "ADA@xn--bcher-kva.example"),
    ("ada@BÜCHER.example", "ada@bücher.example"),
    ("ada@bücher。example", "ada@bücher.example"),
    ("ada@example.com.", " ada@example.com"),
    ("caf\u00e9@example.com", "cafe\u0301@example.com"),
]
OTHER = [
    ("straße@example.com", "strasse@example.com"),
    ("ali\u0131@example.com", "alii@example.com"),
    ("É@example.com", "é@example.com"),
    ("ada+a@example.com", "ada@example.com"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_of_a_mailbox_have_one_form(one: str, other: str) -> None:
    assert mail_key(one) == mail_key(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_mailboxes_of_different_people_have_different_forms(one: str, other: str) -> None:
    assert mail_key(one) != mail_key(other)


@given(st.text(max_size=80))
def test_any_text_has_a_form_that_stays(text: str) -> None:
    key = mail_key(f"{text}@Bücher.example")
    assert mail_key(key) == key
    assert mail_key(text) == mail_key(unicodedata.normalize("NFC", text))

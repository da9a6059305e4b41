"""Where two secrets share characters, both go whole: no rule takes a part of what another one needs to see."""

from __future__ import annotations

import random
import re

import pytest
from tests.redacting import KINDS

from payment_service.observability.redaction import hide, redact

IN_A_LOCAL_PART = re.compile(r"[\w.+!#$^~-]+", re.ASCII)
CHANCE = random.Random(17)
WORDS = {
    kind: word
    for kind, make in KINDS.items()
    if "in Base64" not in kind and IN_A_LOCAL_PART.fullmatch(word := make(CHANCE))
}
"""Secrets whose every character may stand in an address of a person too."""


def test_such_secrets_are_known() -> None:
    assert len(WORDS) > 12
    assert {"sk_live", "JWT", "API key", "client secret of a payment", "access key", "card with dashes"} <= {*WORDS}


@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize("around", ["{}", "x-{}", "{}-x", "grace.{}.hopper", "sk_live_{}", "x_{}"])
@pytest.mark.parametrize("put", ["{!r}", "to {}, then", "%3C{}%3E", "note={}&b=2", "{}"])
def test_an_address_goes_whole_whatever_its_local_part_looks_like(kind: str, around: str, put: str) -> None:
    local = around.format(WORDS[kind])
    assert not re.search(r"mail|example|grace|hopper|@", redact(put.format(f"{local}@mail.example")))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("b'\\nf38-eyJKokH2kPSPBx@z4r.gg9he.museum\\n'", "b'\\***\\n'"),
        ("to x-eyJaaaaaaaaaa@mail.example", "to ***"),
        ("to x-eyJaaaaaaaaaa%40mail.example", "to ***"),
        ("to a-sk_live_abc@mail.example", "to ***"),
        ("to a-sk_live_abc%40mail.example", "to ***"),
        ("lp_0123456789abcdef-4242-4242-4242-4242@mail.example", "***"),
        ("sk_live_abc-eyJaaaaaaaaaa.bbbb.cccc", "sk_live_***"),
        ("sk_live_abc/password='correct horse', then", "sk_live_***'***', then"),
        ('sk_live_abc/password="correct horse", then', 'sk_live_***"***", then'),
        ("whsec_abc=Bearer 0123456789abcdef", "whsec_*** ***"),
        ("PASSWORD E'ab@mail.example and more' VALID", "PASSWORD E'***' VALID"),
        ('{"password": "ab@mail.example and more"}', '{"password": "***"}'),
        ("redis://cache:6379,password=x@yz,ssl=True", "redis://cache:***"),
        ("redis://cache:6379,password='x@y z',ssl", "redis://cache:***,ssl"),
        ("postgresql://db:5432/x?user=a&password=p@w&b=2", "postgresql://db:***&b=2"),
        ("postgresql://u:p@db,b:1/x?sslpassword=a@b&b=2", "postgresql://u:***&b=2"),
    ],
)
def test_what_belongs_to_two_secrets_goes_with_both(text: str, left: str) -> None:
    assert redact(text) == left


def test_known_secrets_that_overlap_go_whole() -> None:
    assert redact("to x-opensesame-and@mail.example", ["opensesame"]) == "to ***"
    assert redact("say opensesame-street, then", ["opensesame", "same-street"]) == "say ***, then"


def test_a_secret_of_this_process_goes_where_it_stands_encoded() -> None:
    hide("correct horse & battery")
    assert redact("GET /?q=correct%20horse%20%26%20battery&b=2") == "GET /?q=***&b=2"


def test_what_stays_of_an_encoded_word_stays_as_it_was_written() -> None:
    assert redact("/x%5b1%5d/a%2Fb%40mail.example") == "/x%5b1%5d/a%2F***"
    assert redact("q=%7B%22password%22%3A%22a%20b%22%7D") == "q=%7B%22password%22%3A%22***%22%7D"

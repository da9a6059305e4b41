"""JSON from others is decoded strictly, and what is wrong with it has one name."""

from __future__ import annotations

import contextlib
import json
import sys
import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_service.http.strict_json import EVENTS, Limits, NotStrictJson, decode

ANY = Limits(small_integers=True)
BODY = Limits(depth=8, members=1000, unique_members=True)
MEBIBYTE = 1024 * 1024
WRONG: dict[str, tuple[str, bytes]] = {
    "nothing": ("syntax", b""),
    "half an object": ("syntax", b'{"a":'),
    "two texts": ("syntax", b"{} {}"),
    "a byte order mark": ("syntax", b"\xef\xbb\xbf{}"),
    "UTF-16": ("syntax", '{"a":1}'.encode("utf-16")),
    "NaN": ("syntax", b"[NaN]"),
    "Infinity": ("syntax", b"[-Infinity]"),
    "a raw control character": ("syntax", b'["a\x01"]'),
    "invalid UTF-8 in a value": ("encoding", b'{"x":["\xff"]}'),
    "invalid UTF-8 in a name": ("encoding", b'{"\xff":1}'),
    "an overlong NUL": ("encoding", b'["\xc0\x80"]'),
    "a surrogate as UTF-8": ("encoding", b'["\xed\xa0\x80"]'),
    "a high surrogate": ("surrogate", b'["\\ud800"]'),
    "a high surrogate before a letter": ("surrogate", b'["\\ud83d\\u0041"]'),
    "a low surrogate": ("surrogate", b'["\\udc00"]'),
    "a high surrogate in a name": ("surrogate", b'{"\\uD800":1}'),
    "a float that is infinite": ("number", b'{"a":[1e400]}'),
    "its negative": ("number", b"[-1e400]"),
    "a float with a long whole part": ("number", b"[" + b"9" * 500 + b".5]"),
    "an integer of 5 000 digits": ("number", b"[" + b"9" * 5000 + b"]"),
    "2**63": ("number", b"[9223372036854775808]"),
    "-(2**63) - 1": ("number", b"[-9223372036854775809]"),
    "129 arrays": ("depth", b"[" * 129 + b"]" * 129),
    "5 000 objects": ("depth", b'{"a":' * 5000 + b"1" + b"}" * 5000),
    "50 000 arrays": ("depth", b"[" * 50_000),
    "too many elements": ("members", b"[" + b"1," * 50_000 + b"1]"),
    "too many objects": ("members", b"[" + b'{"a":0},' * 50_000 + b"1]"),
    "too many arrays in each other": ("members", b"[" + (b"[" * 100 + b"]" * 100 + b",") * 600 + b"1]"),
    "60 000 arrays": ("depth", b"[" * 60_000),
    "too many texts after each other": ("members", b"[" * 3 + b'""' * 500_000 + b"," * 50_000),
}


@pytest.mark.parametrize(("reason", "raw"), WRONG.values(), ids=WRONG.keys())
def test_a_text_beyond_the_rules_is_refused_with_its_reason(reason: str, raw: bytes) -> None:
    with pytest.raises(NotStrictJson) as refused:
        decode(raw, limits=ANY)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 128 + b"]" * 128,
        b"[9223372036854775807,-9223372036854775808]",
        b'["12345678901234567890"]',
        b'["\\ud83d\\ude00\\u0000", 1e300, 1E-400, 0.' + b"1" * 5000 + b"]",
        b"[" + b"[1]," * 20_000 + b"2]",
        b"[" + b'",[{\\"",' * 20_000 + b"2]",
    ],
)
def test_a_text_within_the_rules_is_what_any_decoder_says(raw: bytes) -> None:
    assert decode(raw, limits=ANY) == json.loads(raw)


@pytest.mark.parametrize(
    "piece", [b'{"a":0},', b"{},", b"[],", b"1,", b'"",', b'"a,a",', b"[[[[[]]]]],", b'{"":{"":0}},']
)
@pytest.mark.parametrize("limits", [BODY, EVENTS])
def test_a_text_takes_no_more_memory_than_a_few_times_its_size(piece: bytes, limits: Limits) -> None:
    raw = b"[" + piece * (MEBIBYTE // len(piece)) + b"0]"
    tracemalloc.start()
    try:
        with contextlib.suppress(NotStrictJson):
            decode(raw, limits=limits)
        assert tracemalloc.get_traced_memory()[1] < 8 * len(raw)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("member", "raw"),
    [
        ("a", b'{"a":1,"a":1}'),
        ("a", b'{"x":[{"b":":","a":2,"a":":"}]}'),
        ("a", b'{"a":1,"\\u0061":2}'),
        ("é", '{"é":1,"u":"a:b","é":2}'.encode()),
        ("a", b'{"a":{"b":1,"c":2},"a":{}}'),
    ],
)
def test_a_member_that_stands_twice_is_named(member: str, raw: bytes) -> None:
    with pytest.raises(NotStrictJson) as refused:
        decode(raw, limits=BODY)
    assert (refused.value.reason, refused.value.member) == ("duplicate", member)


def test_a_member_that_is_lost_may_be_of_any_depth() -> None:
    for depth in range(1, sys.getrecursionlimit() + 10):  # between what either decoder takes lie a few
        with pytest.raises(NotStrictJson) as refused:
            decode(b'{"a":' + b"[" * depth + b"]" * depth + b',"a":1}', limits=BODY)
        assert refused.value.reason in {"duplicate", "depth"}


def test_integers_of_any_size_are_exact_where_they_may_be() -> None:
    assert decode(b"[" + b"9" * 4000 + b"]", limits=EVENTS) == [int("9" * 4000)]


def test_the_last_of_two_members_counts_where_they_are_not_refused() -> None:
    assert decode(b'{"a":1,"a":2}', limits=ANY) == {"a": 2}


def test_a_name_may_stand_in_several_objects_and_in_text() -> None:
    raw = b'{"a":{"a":"a:b"},"b":[{"a":1},{"a":2}],"c":"\\"a\\":1,\\"a\\":2"}'
    assert decode(raw, limits=BODY) == json.loads(raw)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda below: st.lists(below) | st.dictionaries(st.text(st.characters(codec="utf-8")), below),
    max_leaves=12,
)  # fmt: skip


@given(VALUES)
def test_every_text_without_faults_is_accepted_and_comes_back_whole(value: object) -> None:
    assert decode(msgspec.json.encode(value), limits=Limits(unique_members=True)) == value


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "a:b", '"']), st.integers(0, 9) | st.just("x:y"))))
def test_exactly_the_objects_with_a_name_twice_are_refused(pairs: list[tuple[str, object]]) -> None:
    raw = ("{" + ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs) + "}").encode()
    names = [name for name, _ in pairs]
    if len(set(names)) == len(names):
        assert decode(raw, limits=BODY) == dict(pairs)
    else:
        with pytest.raises(NotStrictJson, match="twice"):
            decode(raw, limits=BODY)


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_refused_by_name(raw: bytes) -> None:
    with contextlib.suppress(NotStrictJson):
        assert decode(raw, limits=BODY) == json.loads(raw)

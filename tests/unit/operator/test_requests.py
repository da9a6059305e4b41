"""What people may write into annotations."""

from __future__ import annotations

import pytest

from payment_operator import names, requests
from payment_operator.requests import Request, RequestRefused


def test_a_request_survives_the_wire() -> None:
    asked = Request(id="a1", verb="promote", revision=18, reason="looks good")
    (key, value) = requests.find({"annotations": requests.wire_form(asked)}) or ("", "")
    assert requests.parse(key, value, resource_version="7") == asked


@pytest.mark.parametrize("verb", [verb for verb in requests.VERBS if verb != "rotate"])
def test_a_plain_annotation_is_a_request(verb: requests.Verb) -> None:
    found = requests.find({"annotations": {"other": "x", f"{names.GROUP}/{verb}": "18"}})
    assert found is not None
    assert requests.parse(*found, resource_version="7") == Request(id=f"{verb}-7", verb=verb, revision=18)


@pytest.mark.parametrize("what", requests.CREDENTIALS)
def test_a_rotation_names_its_secret(what: requests.Credential) -> None:
    key = requests.annotation("rotate")
    assert requests.parse(key, what, resource_version="7") == Request(id="rotate-7", verb="rotate", what=what)
    with pytest.raises(RequestRefused, match="rotate=webhook"):
        requests.parse(key, "18", resource_version="7")


def test_the_number_may_be_left_out() -> None:
    assert requests.parse(requests.annotation("abort"), "", resource_version="7").revision is None


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        (requests.annotation("promote"), "latest", "no revision number"),
        (names.ANNOTATION_REQUEST, "promote", "JSON"),
        (names.ANNOTATION_REQUEST, '{"id": "1", "verb": "destroy"}', "verb"),
        (names.ANNOTATION_REQUEST, '{"verb": "abort"}', "id"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_the_fix(key: str, value: str, says: str) -> None:
    with pytest.raises(RequestRefused, match=says):
        requests.parse(key, value, resource_version="7")


def test_an_environment_without_requests_has_none() -> None:
    assert requests.find({}) is None


def test_names_of_jobs_fit_into_a_label() -> None:
    assert len(names.job("e" * 40, "contract", "0" * 8, 99)) <= 63

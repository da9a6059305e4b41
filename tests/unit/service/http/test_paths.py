"""Paths in another spelling than their plain one."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest

from payment_service.errors import BadPath
from payment_service.http.paths import check_path

RIGHT = [
    "/",
    "/api/v1/customers",
    "/api/v1/customers/cus_1",
    "/api/v1/customers/by-reference/a.b:c@d-e_f",
    "/api/v1/customers/...",
    "/api/v1/customers/.a",
    "/api/v1/customers/a..b",
    "/api/v1/%63ustomers",
    "/api/v1/customers/caf%C3%A9",
    "/api/v1/customers/%25",
]
FAULTS = [
    ("//", "empty segment"),
    ("//api/v1/customers", "empty segment"),
    ("/api//v1", "empty segment"),
    ("/api/v1/", "empty segment"),
    ("", "empty segment"),
    ("*", "empty segment"),
    ("api/v1", "empty segment"),
    ("/%2Fapi/v1", "encoded slash"),
    ("/api%2fv1", "encoded slash"),
    ("/api/v1%5Ccustomers", "encoded slash"),
    ("/api/v1%5c..%5c", "encoded slash"),
    ("/api/v1\\customers", "backslash"),
    ("/.", "dot segment"),
    ("/api/./v1", "dot segment"),
    ("/api/../v1", "dot segment"),
    ("/api/v1/..", "dot segment"),
    ("/api/%2e%2E/v1", "dot segment"),
    ("/api/.%2e/v1", "dot segment"),
    ("/api/..;/v1", "dot segment"),
    ("/api/%2e%2e%3bx/v1", "dot segment"),
    ("/api/v1/%00", "control character"),
    ("/api/v1/a%0d%0ab", "control character"),
    ("/api/v1/%7f", "control character"),
    ("/api/v1/%C2%85", "control character"),
    ("/api/v1/%ff", "UTF-8"),
    ("/api/v1/%C0%AF", "UTF-8"),
    ("/api/v1/%ED%A0%80", "UTF-8"),
    ("/api/v1/%", "begins no encoded byte"),
    ("/api/v1/%zz", "begins no encoded byte"),
]


def scope(raw: str) -> Any:
    return {"raw_path": raw.encode(), "path": unquote(raw)}


@pytest.mark.parametrize("raw", RIGHT)
def test_a_path_in_its_plain_form_passes(raw: str) -> None:
    check_path(scope(raw))


@pytest.mark.parametrize(("raw", "word"), FAULTS)
def test_another_spelling_is_refused_with_what_is_wrong(raw: str, word: str) -> None:
    with pytest.raises(BadPath) as refused:
        check_path(scope(raw))
    assert word in refused.value.detail
    assert (refused.value.status, refused.value.code) == (400, "bad_path")

"""Whose address a request counts for."""

from __future__ import annotations

import ipaddress

import pytest

from payment_service.platform.limits import client_address

PROXIES = [ipaddress.ip_network("10.0.0.0/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.1.2.3", "198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "198.51.100.1, 10.9.9.9", "198.51.100.1"),
        ("10.1.2.3", "198.51.100.1, nonsense", "nonsense"),
    ],
)
def test_forwarded_addresses_count_only_behind_trusted_proxies(peer: str, forwarded: str | None, expected: str) -> None:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    assert client_address({"client": (peer, 1), "headers": headers}, proxies=PROXIES) == expected


def test_without_trusted_proxies_the_header_is_ignored() -> None:
    scope = {"client": ("10.1.2.3", 1), "headers": [(b"x-forwarded-for", b"198.51.100.1")]}
    assert client_address(scope, proxies=[]) == "10.1.2.3"

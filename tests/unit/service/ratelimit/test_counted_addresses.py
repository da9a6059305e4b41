"""Whose address a request counts for."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_service.http.addresses import counted_as, parse_address
from payment_service.ratelimit.limits import MAXIMUM_HOPS, client_address, parse_networks

if TYPE_CHECKING:
    from collections.abc import Sequence

PROXIES: Final = parse_networks(["10.0.0.0/8", "2001:db8:ffff::/48"])
PROXY: Final = "10.1.2.3"
CLIENT: Final = "198.51.100.1"


def scope(client: tuple[str, int] | None, headers: list[tuple[bytes, bytes]]) -> Any:
    """Return what is read of a request's scope."""
    return {"client": client, "headers": headers}


def counted(peer: str, *lines: str, trusted: bool = True) -> str:
    """Return what a request with these `X-Forwarded-For` lines counts for."""
    headers = [(b"x-forwarded-for", line.encode("latin-1")) for line in lines]
    return client_address(scope((peer, 1), headers), proxies=PROXIES if trusted else ())


@pytest.mark.parametrize(
    ("peer", "lines", "expected"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", [CLIENT], "203.0.113.9"),
        (PROXY, [], PROXY),
        (PROXY, [CLIENT], CLIENT),
        (PROXY, [f"6.6.6.6, {CLIENT}"], CLIENT),
        (PROXY, [f"{CLIENT}, 10.9.9.9"], CLIENT),
        (PROXY, [f"{CLIENT}\t,, 10.9.9.9 ,"], CLIENT),
        (PROXY, ["10.7.7.7, 10.9.9.9"], "10.7.7.7"),
        ("2001:db8:ffff::1", [CLIENT], CLIENT),
        ("::ffff:10.1.2.3", [CLIENT], CLIENT),
    ],
)
def test_forwarded_addresses_count_only_behind_trusted_proxies(peer: str, lines: list[str], expected: str) -> None:
    assert counted(peer, *lines) == expected


def test_all_lines_are_one_list_in_their_order() -> None:
    assert counted(PROXY, "6.6.6.6", CLIENT, "10.9.9.9") == CLIENT
    assert counted(PROXY, CLIENT, "6.6.6.6") == "6.6.6.6"


def test_without_trusted_proxies_the_header_is_ignored() -> None:
    assert counted(PROXY, CLIENT, trusted=False) == PROXY


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("198.51.100.1:54321", CLIENT),
        ("[2001:db8:1:2:3::4]", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:3::4]:443", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:198.51.100.1", CLIENT),
        ("[::ffff:c633:6401]:80", CLIENT),
        ("64:ff9b::198.51.100.1", CLIENT),
        ("[64:ff9b::c633:6401]:80", CLIENT),
        ("64:ff9b:1::c633:6401", "64:ff9b:1::/64"),
    ],
)
def test_an_address_is_read_with_port_and_in_brackets(written: str, expected: str) -> None:
    assert counted(PROXY, written) == expected


NONSENSE: Final = [
    "unknown", "_hidden", "nonsense", "198.51.100.1:", "198.51.100.1:http", "198.51.100.1:123456", "198.51.100",
    "198.051.100.1", "[198.51.100.1]", "[2001:db8::1", "2001:db8::1]", "2001:db8::1]:80", "[2001:db8::1]x", "::1::",
    "\xb2.1.1.1", '"198.51.100.1"', "for=198.51.100.1", "198.51.100.1 198.51.100.2", "0x7f.1", "1",
]  # fmt: skip


@pytest.mark.parametrize("written", NONSENSE)
def test_an_element_that_cannot_be_read_falls_back_to_the_peer(written: str) -> None:
    assert counted(PROXY, written) == PROXY
    assert counted(PROXY, f"{CLIENT}, {written}, 10.9.9.9") == PROXY


def test_more_elements_than_proxies_ever_stand_in_a_row_fall_back_to_the_peer() -> None:
    assert counted(PROXY, ", ".join([CLIENT, *["10.9.9.9"] * (MAXIMUM_HOPS - 1)])) == CLIENT
    assert counted(PROXY, ", ".join([CLIENT, *["10.9.9.9"] * 10_000])) == PROXY


def test_a_peer_without_an_address_counts_as_unknown() -> None:
    assert client_address(scope(None, []), proxies=PROXIES) == "unknown"
    assert client_address(scope(("/run/socket", 0), []), proxies=PROXIES) == "unknown"


@pytest.mark.parametrize("network", ["::ffff:192.0.2.0/120", "192.0.2.0/24", "192.0.2.77"])
def test_a_proxys_network_may_be_written_as_mapped_or_as_one_address(network: str) -> None:
    (parsed,) = parse_networks([network])
    assert IPv4Address("192.0.2.77") in parsed


def is_proxy(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address is a trusted proxy's."""
    return any((parse_address(str(address)) or address) in network for network in PROXIES)


ADDRESSES: Final = st.ip_addresses().filter(lambda address: not is_proxy(address))
WRITTEN_PROXIES: Final = st.lists(st.ip_addresses(v=4, network="10.0.0.0/8").map(str), max_size=5)
ANYTHING: Final = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=80)


def spelled(address: IPv4Address | IPv6Address) -> Sequence[str]:
    """Return the ways to write an address that proxies have."""
    if isinstance(address, IPv4Address):
        return (str(address), f"{address}:8080", f"::ffff:{address}", f"[::ffff:{address}]:1")
    return (str(address), f"[{address}]", f"[{address}]:8080", address.exploded.upper())


@given(st.data(), ADDRESSES, WRITTEN_PROXIES, ANYTHING)
def test_what_the_last_trusted_proxy_saw_counts_whatever_stands_before(
    data: st.DataObject, client: IPv4Address | IPv6Address, proxies: list[str], before: str
) -> None:
    written = data.draw(st.sampled_from(spelled(client)))
    expected = counted_as(parse_address(str(client)) or client)
    assert counted(PROXY, before, ",".join([written, *proxies])) == expected


@given(ADDRESSES, ANYTHING)
def test_a_peer_that_is_no_proxy_counts_as_itself_whatever_it_sends(peer: IPv4Address | IPv6Address, sent: str) -> None:
    assert counted(str(peer), sent) == counted(str(peer))


@given(ANYTHING)
def test_whatever_is_sent_the_answer_is_an_address_or_a_64(sent: str) -> None:
    found = counted(PROXY, sent)
    assert parse_address(found.removesuffix("/64")) is not None


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_all_addresses_of_a_64_count_as_one(address: IPv6Address, host: int) -> None:
    other = IPv6Address(int(address) >> 64 << 64 | host)
    of_ipv4 = [one for one in (address, other) if one.ipv4_mapped or one in IPv6Network("64:ff9b::/96")]
    if not of_ipv4:
        assert counted(str(address)) == counted(str(other))

"""Addresses of clients: read from text that others wrote, and what they are counted under."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_IPV6_COUNTED_BITS: Final = 64
"""A site, often one host, has at least a /64 to choose addresses from (RFC 4291, section 2.5.4; RFC 6177)."""
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
"""IPv4 clients as a translator shows them to hosts that speak IPv6 alone (RFC 6052, section 2.1)."""
_WIDE: Final = tuple(
    ip_network(text) for text in ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "fc00::/7", "fe80::/10")
)
"""What no stranger has an address of: private (RFC 1918, RFC 6598, RFC 4193), of this machine or this link."""
_LEAST_BITS: Final = {4: 12, 6: 24}
"""Of any other network: the largest that content delivery networks list as theirs are a /12 and a /29."""
_WITH_PORT: Final = re.compile(r"\[([^\]]*)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")


def parse_address(text: str) -> Address | None:
    """Return the address in `text`: alone, with a port (`192.0.2.1:443`), or in brackets (`[2001:db8::1]:443`).

    Names, `unknown` and obfuscated identifiers (RFC 7239, section 6) are None. An IPv4-mapped IPv6 address (RFC 4291,
    section 2.5.5.2) is its IPv4 address: a socket for both kinds shows IPv4 clients so.
    """
    match = _WITH_PORT.fullmatch(text)
    bracketed = match is not None and match[1] is not None
    try:
        address = ip_address((match[1] or match[2]) if match else text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return None if bracketed else address
    return address.ipv4_mapped or address


def parse_network(text: str) -> Network:
    """Return the network in `text`: `10.0.0.0/8`, or a single address; an IPv4-mapped one is its IPv4 network.

    Raises:
        ValueError: it is none.
    """
    network = ip_network(text, strict=False)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - _MAPPED.prefixlen))
    return network


def too_wide(network: Network) -> bool:
    """Whether a network is anybody's: who is trusted writes the address that is believed, or is sent webhooks."""
    if any(isinstance(wide, type(network)) and network.subnet_of(wide) for wide in _WIDE):  # type: ignore[arg-type]
        return False
    return network.prefixlen < _LEAST_BITS[network.version]


def counted_as(address: Address) -> str:
    """Return what requests of `address` are counted under: an IPv4 address, the /64 of an IPv6 address.

    The one /64 of a translator holds every IPv4 client there is: those count by their IPv4 addresses.
    """
    if address in _TRANSLATED:
        return str(IPv4Address(int(address) & 0xFFFFFFFF))
    if isinstance(address, IPv4Address):
        return str(address)
    host_bits = address.max_prefixlen - _IPV6_COUNTED_BITS
    return str(IPv6Network((int(address) >> host_bits << host_bits, _IPV6_COUNTED_BITS)))


def last_untrusted(peer: Address, forwarded: Sequence[str], *, proxies: Sequence[Network]) -> Address:
    """Return the client's address: the nearest hop that is not a trusted proxy, or the farthest if all are.

    Each trusted proxy has appended the address that it was called from (`forwarded`, nearest last), so what stands
    left of the first one that is not trusted was written by anybody. An element that cannot be read ends the walk at
    `peer`, the one address that nobody could write: whoever stands behind such a proxy is counted together with
    everybody else behind it, and nobody gets a count of its own by sending nonsense.
    """
    current = peer
    for hop in reversed(forwarded):
        if not any(current in network for network in proxies):
            return current
        found = parse_address(hop)
        if found is None:
            return peer
        current = found
    return current

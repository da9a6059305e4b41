"""Which addresses a webhook may be sent to: those of the Internet, and of networks that a setting names.

Whoever may make an endpoint chooses where this service connects to, from inside the cluster. So an address is refused
unless it is known to be public: what stands in IANA's registries of special-purpose addresses is not, and of IPv6 only
global unicast is. `ipaddress.is_global` alone would let multicast, translators and tunnels pass, and it differs between
versions of Python. What follows always, whatever a setting allows, is refused too: where clouds keep the credentials of
a machine, and forms of IPv6 that carry an IPv4 address by which a list of networks could be walked around.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from typing import TYPE_CHECKING, Final

from payment_service.http.addresses import parse_network

if TYPE_CHECKING:
    from payment_service.config.settings import Settings
    from payment_service.http.addresses import Address, Network

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""All of IPv6 that IANA gives to networks (iana.org/assignments/ipv6-address-space)."""
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
"""What DNS64 answers in a network without IPv4, for every receiver that has no IPv6 (RFC 6052, section 2.1)."""
_LOOPBACK: Final = IPv6Address("::1")
_NOT_PUBLIC: Final = tuple(
    ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments (RFC 6890)
        "192.88.99.0/24",  # relays of 6to4 (RFC 7526)
        "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation (RFC 9637)
    )
)
"""Beside what `is_global` knows in every version of Python that this runs on."""
_NEVER: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # Linux takes it for this machine
        "169.254.0.0/16",  # link-local: the metadata of AWS, Azure, Google, Oracle and others
        "100.100.100.200/32",  # Alibaba's metadata
        "168.63.129.16/32",  # Azure's, an address that looks public
        "192.0.0.192/32",  # Oracle's older one
        "224.0.0.0/4",  # multicast
        "255.255.255.255/32",
        "::/96",  # unspecified, and IPv4-compatible (RFC 4291, section 2.5.5.1), less `::1`
        "::ffff:0:0/96",  # IPv4-mapped: the kernel connects to the IPv4 address
        "::ffff:0:0:0/96",  # IPv4-translated (RFC 2765)
        "64:ff9b:1::/48",  # translators of a site, where the IPv4 address has no fixed place (RFC 8215)
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "fd00:ec2::/32",  # AWS's metadata, resolver and clock
        "fd20:ce::254/128",  # Google's metadata
        "fe80::/10",  # link-local
        "ff00::/8",  # multicast
    )
)


class AddressRefused(Exception):
    """A host has an address that no webhook is sent to. Which one is told to nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What may be reached."""

    plain_http: bool
    """Whether `http://` is allowed: in development, or where the network itself encrypts."""
    networks: tuple[Network, ...] = ()
    """Not public, and allowed all the same."""

    def allow(self, address: Address) -> bool:
        """Tell whether a webhook may be sent to `address`."""
        if address in _TRANSLATED:  # judged as where it ends, which must be public (RFC 6052, section 3.1)
            ends_at = IPv4Address(int(address) & 0xFFFFFFFF)
            return _is_public(ends_at) and not _in_any(ends_at, _NEVER)
        if address != _LOOPBACK and _in_any(address, _NEVER):
            return False
        return _in_any(address, self.networks) or _is_public(address)


def read_rules(settings: Settings) -> Rules:
    """Return the rules that the settings state."""
    return Rules(
        plain_http=settings.deliveries.allow_http,
        networks=tuple(parse_network(text) for text in settings.deliveries.allowed_networks),
    )


def _in_any(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return address.is_global and not address.is_multicast and not _in_any(address, _NOT_PUBLIC)

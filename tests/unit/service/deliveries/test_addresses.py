"""Which addresses webhooks go to, one of each kind there is."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from payment_service.config.settings import Settings
from payment_service.deliveries.addresses import Rules, read_rules

PUBLIC = (
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700::1111",
    "2001:4860:4860::8888",
    "2a00:1450:4001:830::200e",
    "64:ff9b::8.8.8.8",
)
REFUSED = {
    "this network": ("0.0.0.0", "0.0.0.1", "0.255.255.255"),
    "loopback": ("127.0.0.1", "127.0.0.53", "127.255.255.255", "::1"),
    "private": ("10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "fc00::1", "fdff::1"),
    "shared by carriers": ("100.64.0.1", "100.127.255.255"),
    "link-local": ("169.254.0.1", "169.254.255.255", "fe80::1", "febf::1"),
    "site-local": ("fec0::1",),
    "metadata": (
        "169.254.169.254",
        "169.254.170.2",
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
    ),
    "protocol assignments": ("192.0.0.1", "192.0.0.8", "192.0.0.170", "2001::1", "2001:1ff::1", "5f00::1"),
    "documentation": ("192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"),
    "benchmarking": ("198.18.0.1", "198.19.255.255", "2001:2::1"),
    "multicast": ("224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1"),
    "reserved": ("240.0.0.1", "255.255.255.254", "255.255.255.255", "4000::1", "e000::1", "100::1"),
    "unspecified": ("::",),
    "IPv4-mapped": ("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8"),
    "IPv4-compatible": ("::127.0.0.1", "::10.0.0.1", "::8.8.8.8"),
    "IPv4-translated": ("::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8"),
    "NAT64": ("64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::8.8.8.8"),
    "6to4": ("192.88.99.1", "2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::1", "2002:808:808::1"),
    "Teredo": ("2001:0:4136:e378:8000:63bf:3fff:fdd2",),
}
ALWAYS = ("this network", "link-local", "metadata", "multicast", "unspecified", *list(REFUSED)[-6:])
NOBODY = Rules(plain_http=False)
EVERYBODY = Rules(plain_http=False, networks=(ip_network("0.0.0.0/0"), ip_network("::/0")))
PRODUCTION = {
    "ENVIRONMENT": "production",
    "DATABASE_URL": "postgresql://payments@db/payments?sslmode=require",
    "REDIS_URL": "rediss://cache:6379",
    "STRIPE_SECRET_KEY": "sk_live_1",
    "STRIPE_WEBHOOK_SECRET": "whsec_1",
    "SECRET_KEY": "0123456789abcdef0123456789abcdef",
}


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_get_webhooks(text: str) -> None:
    assert NOBODY.allow(ip_address(text))


@pytest.mark.parametrize("text", [text for kind in REFUSED.values() for text in kind])
def test_others_do_not(text: str) -> None:
    assert not NOBODY.allow(ip_address(text))


@pytest.mark.parametrize("text", [text for kind in ALWAYS for text in REFUSED[kind] if text != "192.88.99.1"])
def test_metadata_and_disguises_never_do_even_where_everything_is_allowed(text: str) -> None:
    assert not EVERYBODY.allow(ip_address(text))


def test_a_network_that_a_setting_names_gets_webhooks_and_its_neighbours_do_not() -> None:
    rules = Rules(plain_http=False, networks=(ip_network("10.96.0.0/12"), ip_network("fd00:1::/64")))
    allowed = ("10.96.0.10", "fd00:1::5", "8.8.8.8")
    assert all(rules.allow(ip_address(text)) for text in allowed)
    refused = ("10.95.255.255", "127.0.0.1", "::ffff:10.96.0.10", "64:ff9b::10.96.0.10", "2002:a60:a::", "fd00:2::5")
    assert not any(rules.allow(ip_address(text)) for text in refused)


def test_production_allows_nothing_by_itself_and_development_this_machine() -> None:
    assert read_rules(Settings.from_env(PRODUCTION)) == NOBODY
    development = read_rules(Settings.from_env({}))
    assert development.plain_http
    assert development.allow(ip_address("127.0.0.1"))
    assert development.allow(ip_address("::1"))
    assert not development.allow(ip_address("10.0.0.1"))


def test_production_allows_what_settings_name() -> None:
    named = {"PAYMENTS_WEBHOOK_ALLOWED_NETWORKS": "10.96.0.0/12, fd00:1::/64", "PAYMENTS_WEBHOOK_ALLOW_HTTP": "true"}
    rules = read_rules(Settings.from_env(PRODUCTION | named))
    assert rules == Rules(plain_http=True, networks=(ip_network("10.96.0.0/12"), ip_network("fd00:1::/64")))

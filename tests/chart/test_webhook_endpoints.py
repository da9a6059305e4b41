"""Webhooks that the service sends: the key, the settings and the NetworkPolicy, the same in both modes."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from tests.chart.test_render import NARROW, WIDE, of_kind, refused
from tests.chart.test_settings import environment_of
from tests.chart.tools import pod_specs, render
from tests.cluster.netpol.policy import Block

from payment_operator.api.environment import Environment
from payment_service.config.settings import Settings
from payment_service.deliveries.addresses import Rules

if TYPE_CHECKING:
    from collections.abc import Iterator

ALONE, OPERATED = "operator.enabled=false", "operator.enabled=true"
BOTH: Final = pytest.mark.parametrize("mode", [ALONE, OPERATED])
SIGNS: Final = "webhookEndpoints.existingSecret=hooks"
NETWORKS: Final = "webhookEndpoints.allowedNetworks={10.96.0.0/12,10.2.3.4,fd00:1::/64,fd00::7}"
Policies = dict[str, dict[str, Any]]


def values(mode: str, *more: str) -> tuple[str, ...]:
    base = ("secrets.existingSecret=s", "config.stripeMode=test", mode)
    return tuple(word for one in (*base, *more) for word in ("--set", one))


def policies(mode: str, *more: str) -> Policies:
    """The NetworkPolicies' specifications by the component in their names; empty: all pods'."""
    found = of_kind(render(*values(mode, *more)), "NetworkPolicy")
    start = "pay-lean-payments"
    return {policy["metadata"]["name"].removeprefix(start).strip("-"): policy["spec"] for policy in found}


def lets_out(policy: dict[str, Any], address: str, port: int) -> bool:
    """Tell whether a rule with networks lets pods connect to an address."""
    return any(
        Block(block["cidr"], tuple(block.get("except", ()))).holds(address)
        for rule in policy["egress"]
        if port in {entry["port"] for entry in rule["ports"]}
        for peer in rule.get("to", ())
        if (block := peer.get("ipBlock"))
    )


def edges() -> Iterator[str]:
    """The first and last addresses of every network that somebody has ruled on, and the ones beside them."""
    special = "0.0.0.0/0 ::/0 ::/96 ::ffff:0:0/96 64:ff9b:1::/48 2000::/3 2001::/32 fc00::/7 fd00:ec2::/32 fe80::/10"
    named = [ip_network(text) for text in f"{special} 100.100.100.200/32 192.0.0.192/32 8.8.8.0/24 ff00::/8".split()]
    for rule in policies(ALONE)[""]["egress"]:
        for peer in rule.get("to", ()):
            if block := peer.get("ipBlock"):
                named += [ip_network(text) for text in (block["cidr"], *block["except"])]
    for network in named:
        yield from _around(network)


def _around(network: IPv4Network | IPv6Network) -> Iterator[str]:
    first, last = int(network.network_address), int(network.broadcast_address)
    kind = type(network.network_address)
    yield from (str(kind(n)) for n in (first - 1, first, last, last + 1) if 0 <= n < 2**network.max_prefixlen)


@BOTH
def test_pods_reach_by_https_what_the_service_holds_to_be_public_and_nothing_else(mode: str) -> None:
    found, rules = policies(mode, SIGNS), Rules(plain_http=False)
    addresses = sorted(set(edges()))
    assert len(addresses) > 150
    for policy in (found[""], found["worker"]):
        wrong = [text for text in addresses if lets_out(policy, text, 443) is not rules.allow(ip_address(text))]
        assert wrong == []


@BOTH
def test_workers_reach_the_networks_that_are_allowed_and_no_other_pod_does(mode: str) -> None:
    found = policies(mode, SIGNS, NETWORKS, "networkPolicy.webhookPorts={443,8443}")
    assert found["worker"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "worker"
    assert found["worker"]["policyTypes"] == ["Egress"]
    for address in ("10.96.0.1", "10.2.3.4", "fd00:1::9", "fd00::7", "8.8.8.8"):
        assert lets_out(found["worker"], address, 443)
        assert lets_out(found["worker"], address, 8443)
        assert not lets_out(found["worker"], address, 80)
        assert not lets_out(found[""], address, 8443)
    for address in ("10.2.3.5", "10.112.0.1", "fd00::8", "169.254.169.254"):
        assert not lets_out(found["worker"], address, 443)
    assert not lets_out(found[""], "10.96.0.1", 443)


@BOTH
def test_networks_of_ones_own_with_public_addresses_are_kept_from_webhooks(mode: str) -> None:
    own = "networkPolicy.ownNetworks={34.118.224.0/20,2600:1900:4000::/44,35.1.2.3}"
    for policy in policies(mode, SIGNS, own).values():
        if "Egress" in policy["policyTypes"]:
            assert not [a for a in ("34.118.225.1", "2600:1900:4000::1", "35.1.2.3") if lets_out(policy, a, 443)]
            assert lets_out(policy, "35.1.2.4", 443)


@BOTH
def test_without_a_key_to_sign_with_there_is_no_policy_of_workers(mode: str) -> None:
    assert "worker" not in policies(mode)


def test_settings_reach_api_and_worker_in_both_modes() -> None:
    more = (SIGNS, NETWORKS, "webhookEndpoints.allowHttp=true", "webhookEndpoints.retentionDays=30")
    ports = "networkPolicy.webhookPorts={80,443}"
    for name in ("api", "worker"):
        environ = environment_of(name, *values(ALONE, *more, ports))
        named = {key: value for key, value in environ.items() if key.startswith("PAYMENTS_")}
        read = Settings.from_env(named).deliveries
        assert read.allowed_networks == ("10.96.0.0/12", "10.2.3.4", "fd00:1::/64", "fd00::7")
        assert (read.allow_http, read.retention_days) == (True, 30)
    (operated,) = of_kind(render(*values(OPERATED, *more, ports)), "PaymentEnvironment")
    asked = msgspec.convert(operated["spec"], Environment).webhook_endpoints
    assert asked.allowed_networks == list(read.allowed_networks)
    assert (asked.allow_http, asked.retention_days) == (True, 30)
    assert asked.signing_key_secret_ref is not None
    assert (asked.signing_key_secret_ref.name, asked.signing_key_secret_ref.key) == ("hooks", "WEBHOOK_SIGNING_KEY")


def test_nothing_is_said_of_webhooks_without_a_key() -> None:
    (operated,) = of_kind(render(*values(OPERATED)), "PaymentEnvironment")
    assert "webhookEndpoints" not in operated["spec"]
    assert "WEBHOOK" not in str(pod_specs(render(*values(ALONE)))).replace("STRIPE_WEBHOOK_SECRET", "")


@BOTH
@pytest.mark.parametrize(
    ("setting", "says"),
    [
        (NETWORKS, ("webhookEndpoints.allowedNetworks is set", "-n billing create secret generic payments-webhooks")),
        ("webhookEndpoints.allowHttp=true", ("webhookEndpoints.allowHttp is set", "webhookEndpoints.existingSecret=")),
        (f"{SIGNS},webhookEndpoints.allowHttp=true", ("networkPolicy.webhookPorts={80,443}",)),
        ("extraEnv[0].name=WEBHOOK_SIGNING_KEY", ("every container would get it", "webhookEndpoints.existingSecret")),
        ("extraEnv[0].name=WEBHOOK_SIGNING_KEY_FILE", ("set webhookEndpoints.existingSecret",)),
        ("extraEnv[0].name=PAYMENTS_WEBHOOK_ALLOW_HTTP", ("set webhookEndpoints.allowedNetworks, or allowHttp",)),
        ("webhookEndpoints.allowedNetworks={app.internal}", ("allowedNetworks",)),
        ("networkPolicy.webhookPorts={}", ("webhookPorts",)),
        ("webhookEndpoints.retentionDays=0", ("retentionDays",)),
    ],
)
def test_what_would_do_nothing_or_too_much_is_refused_with_the_fix(
    mode: str, setting: str, says: tuple[str, ...]
) -> None:
    message = refused(*values(mode), "--set", setting)
    assert not [part for part in says if part not in message]


def test_where_there_is_no_policy_http_needs_no_port() -> None:
    assert render(*values(ALONE, f"{SIGNS},webhookEndpoints.allowHttp=true,networkPolicy.enabled=false"))


def test_the_environment_s_own_field_is_left_to_the_values_that_the_policy_follows() -> None:
    message = refused(*values(OPERATED), "--set", "operator.spec.webhookEndpoints.allowedNetworks={10.0.0.0/8}")
    assert "operator.spec.webhookEndpoints: the NetworkPolicy would not know of it" in message


def test_a_network_of_everybody_is_no_network_of_receivers() -> None:
    for network in WIDE:
        message = refused(*values(ALONE, SIGNS), "--set-json", f'webhookEndpoints.allowedNetworks=["{network}"]')
        assert f"webhookEndpoints.allowedNetworks: {network} holds everybody" in message
    listed = ",".join(f'"{network}"' for network in NARROW)
    assert render(*values(ALONE, SIGNS), "--set-json", f"webhookEndpoints.allowedNetworks=[{listed}]")

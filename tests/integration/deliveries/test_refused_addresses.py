"""No webhook reaches an address that is not allowed, however it is written and whoever answers for a name."""

from __future__ import annotations

import asyncio
from collections import Counter
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest
from tests.integration.deliveries.sending import RECEIVER, always, running_sender, send, watching
from tests.servers.receiver import Receiver, answering

from payment_service.deliveries import connections
from payment_service.deliveries.addresses import Rules

if TYPE_CHECKING:
    from collections.abc import Sequence

REFUSED = (
    *("127.0.0.2", "127.0.0.53", "127.255.255.254", "::1", "0.0.0.0", "0.0.0.1", "::", "localhost"),
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fc00::1", "fd12:3456::1"),
    *("169.254.169.254", "169.254.170.2", "169.254.0.1", "fe80::1", "fe80::1%lo", "fec0::1", "fd00:ec2::254"),
    *("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd20:ce::254", "192.0.0.1", "192.88.99.1"),
    *("224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1", "ff02::1", "ff0e::1"),
    *("192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1", "198.18.0.1", "2001:2::1"),
    *("::ffff:127.0.0.1", "::ffff:127.0.0.2", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1"),
    *("::127.0.0.2", "::10.0.0.1", "64:ff9b::127.0.0.2", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe"),
    *("64:ff9b:1::127.0.0.1", "2002:7f00:1::1", "2002:a00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    *("2001::1", "5f00::1", "4000::1", "100::1", "", "no address", "127.1", "0x7f.0.0.2", "2130706434"),
)
"""What a name server may answer."""
SPELLED = (
    *("127.0.0.2", "[::1]", "localhost.", "2130706433", "017700000001", "0x7f000001", "127.1", "127.0.1", "0"),
    *("0177.0.0.1", "0x7f.0x0.0x0.0x1", "127.0.0.2.", "0x7F.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
    *("[0:0:0:0:0:0:0:1]", "[::]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1%25lo]", "[fe80::1%lo]"),
    *(
        "127。0。0。2",
        "\uff11\uff12\uff17.0.0.2",
        "①②⑦.⓪.⓪.②",
        "%31%32%37.0.0.2",
        "user@127.0.0.1",
        "user:pass@127.0.0.1",
    ),
    *("app.example.com\\@127.0.0.1", "app.example.com#@127.0.0.1", "127.0.0.1\\", "127.0.0.1 ", "127.0.0.1\t"),
    *(
        "127.0.0.1\r\nX-A: b",
        "127.0.0.1%00",
        "127.0.0.1%0d%0a",
        "127.0.0.1\x00",
        "[127.0.0.1]",
        "[::1]x",
        "169.254.169.254",
    ),
    *("0251.0376.0251.0376", "2852039166", "0xa9fea9fe", "169.254.43518", "metadata..internal", "[fd00:ec2::254]"),
)
"""Hosts of URLs that a reader might take for this machine, or for a cloud's metadata."""


@pytest.mark.parametrize("address", REFUSED)
async def test_a_name_with_a_refused_address_is_never_connected_to(address: str) -> None:
    async with running_sender(look_up=always(address)) as sender, Receiver(host="0.0.0.0") as trap:
        with watching() as watched:
            answer = await send(sender, f"http://app.example.com:{trap.port}/hooks")
        assert answer[:4] == ("retry", "address_not_allowed", None, None)
        assert (watched.connected, trap.connections) == ([], 0)


@pytest.mark.parametrize("address", REFUSED)
@pytest.mark.parametrize("first", [True, False])
async def test_one_good_address_beside_it_does_not_help(address: str, *, first: bool) -> None:
    mixed = (RECEIVER, address) if first else (address, RECEIVER)
    async with running_sender(look_up=always(*mixed)) as sender, Receiver() as receiver:
        with watching() as watched:
            answer = await send(sender, f"http://app.example.com:{receiver.port}/hooks")
        assert (answer.outcome, answer.reason) == ("retry", "address_not_allowed")
        assert (watched.connected, receiver.connections) == ([], 0)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", SPELLED)
async def test_no_spelling_of_a_host_leads_to_one(host: str, scheme: str) -> None:
    nobody = Rules(plain_http=True)
    async with running_sender(rules=nobody) as sender, Receiver(host="0.0.0.0") as trap:
        with watching() as watched:
            answer = await send(sender, f"{scheme}://{host}:{trap.port}/hooks")
        assert (answer.outcome, answer.reason) == ("retry", "address_not_allowed")
        assert (watched.connected, trap.connections) == ([], 0)


async def test_the_receiver_that_is_allowed_is_connected_to() -> None:
    """The trap above is one that catches."""
    async with running_sender(look_up=always(RECEIVER)) as sender, Receiver(host="0.0.0.0") as trap:
        with watching() as watched:
            for host in ("app.example.com", "app.example.com.", "APP.example.com", RECEIVER):
                assert (await send(sender, f"http://{host}:{trap.port}/hooks")).outcome == "delivered"
        assert set(watched.connected) == {RECEIVER}
        hosts = Counter(received.headers["host"] for received in trap.received)
        assert hosts == {f"app.example.com:{trap.port}": 3, f"{RECEIVER}:{trap.port}": 1}


async def test_what_was_checked_is_connected_to_whatever_the_name_server_says_next() -> None:
    """DNS rebinding: the second question never comes, and nobody but us is asked the first."""
    answers = iter([[RECEIVER], ["127.0.0.2"], ["127.0.0.2"]])
    names: list[str] = []

    def rebind(name: str) -> Sequence[str]:
        names.append(name)
        return next(answers)

    async with running_sender(look_up=rebind) as sender, Receiver(host="0.0.0.0") as trap:
        with watching() as watched:
            answer = await send(sender, f"http://rebind.example.com:{trap.port}/")
        assert (answer.outcome, names) == ("delivered", ["rebind.example.com"])
        assert watched == ([RECEIVER], [])


async def test_a_name_that_turns_bad_is_refused_at_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CACHE_SECONDS", 0.01)
    answers = iter([[RECEIVER], ["127.0.0.2"]])
    behaviour = answering(200, "Connection: close")
    async with running_sender(look_up=lambda _: next(answers)) as sender, Receiver(behaviour, host="0.0.0.0") as trap:
        url = f"http://rebind.example.com:{trap.port}/"
        assert (await send(sender, url)).outcome == "delivered"
        await asyncio.sleep(0.05)
        with watching() as watched:
            assert (await send(sender, url)).reason == "address_not_allowed"
        assert (watched.connected, trap.connections) == ([], 1)


async def test_the_system_is_asked_once_for_a_name() -> None:
    rules = Rules(plain_http=True, networks=(ip_network("127.0.0.0/8"), ip_network("::1")))
    async with running_sender(rules=rules) as sender, Receiver() as receiver:
        with watching() as watched:
            answer = await send(sender, f"http://localhost:{receiver.port}/")
        assert (answer.outcome, watched.asked) == ("delivered", ["localhost"])


async def test_a_name_without_addresses_is_not_found() -> None:
    async with running_sender() as sender:
        answer = await send(sender, "http://no-such-name.invalid/")
    assert (answer.outcome, answer.reason) == ("retry", "name_not_found")


async def test_plain_http_is_refused_where_https_is_the_rule() -> None:
    rules = Rules(plain_http=False, networks=(ip_network(RECEIVER),))
    async with running_sender(rules=rules) as sender, Receiver() as receiver:
        answer = await send(sender, f"http://{RECEIVER}:{receiver.port}/")
        assert (answer.reason, receiver.connections) == ("address_not_allowed", 0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status: int) -> None:
    async with Receiver(host="127.0.0.2") as trap, running_sender() as sender:
        behaviour = answering(status, f"Location: http://127.0.0.2:{trap.port}/", "Refresh: 0; url=/other")
        async with Receiver(behaviour) as receiver:
            answer = await send(sender, f"http://{RECEIVER}:{receiver.port}/")
            assert answer[:3] == ("retry", "redirect", status)
            assert (len(receiver.received), trap.connections) == (1, 0)


async def test_what_the_environment_says_of_proxies_and_passwords_is_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    passwords = tmp_path_factory.mktemp("home") / ".netrc"
    passwords.write_text(f"machine {RECEIVER}\nlogin a\npassword b\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("NETRC", str(passwords))
    async with Receiver() as proxy, Receiver() as receiver, running_sender() as sender:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{RECEIVER}:{proxy.port}")
        answer = await send(sender, f"http://{RECEIVER}:{receiver.port}/")
        assert (answer.outcome, proxy.connections) == ("delivered", 0)
        assert "authorization" not in receiver.received[0].headers

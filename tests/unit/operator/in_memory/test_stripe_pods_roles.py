"""Stripe, pods and roles in memory refuse what the real ones refuse (`payment_operator.testing` names the pages)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from payment_operator.clients.stripe_endpoints import Account, StripeEndpoints, StripeFault
from payment_operator.clients.stripe_probe import StripeProbe
from payment_operator.errors import DatabaseFault
from payment_operator.model.pod import Pod, read_pod
from payment_operator.testing import InMemoryPods, InMemoryRoles, InMemoryStripe
from payment_operator.testing.stripe import Key, StoredEvent

ACCOUNT = Account("https://stripe.test", "sk_test_1")
FORM = [("url", "https://shop.example/hook"), ("api_version", "2026-10-28.endive"), ("enabled_events[]", "a.b")]
NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture
def stripe() -> InMemoryStripe:
    return InMemoryStripe(now=lambda: NOW)


async def test_an_endpoint_tells_its_secret_once_and_a_repeated_key_makes_none(stripe: InMemoryStripe) -> None:
    endpoints = StripeEndpoints(stripe)
    form = [*FORM, ("metadata[environment]", "u")]
    made = await endpoints.create(ACCOUNT, key="k", form=form)
    assert (made.secret, made.enabled, made.metadata) == ("whsec_m1", True, {"environment": "u"})
    assert await endpoints.create(ACCOUNT, key="k", form=form) == made
    with pytest.raises(StripeFault, match="same parameters"):
        await endpoints.create(ACCOUNT, key="k", form=FORM)
    (listed,) = await endpoints.all_of(ACCOUNT, key="environment", value="u")
    assert (listed.id, listed.secret) == (made.id, "")
    assert await endpoints.update(ACCOUNT, made.id, form=[("disabled", "true")])
    assert not stripe.endpoints[made.id].enabled
    assert stripe.endpoints[made.id].events == ("a.b",)
    await endpoints.delete(ACCOUNT, made.id)
    await endpoints.delete(ACCOUNT, made.id)
    assert not await endpoints.update(ACCOUNT, made.id, form=[("disabled", "true")])


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ([*FORM, ("colour", "red")], "unknown parameter: colour"),
        (FORM[:2], "Missing required param: enabled_events"),
    ],
)
async def test_parameters_are_checked(stripe: InMemoryStripe, form: list[tuple[str, str]], why: str) -> None:
    with pytest.raises(StripeFault, match=why):
        await StripeEndpoints(stripe).create(ACCOUNT, key="k", form=form)
    assert not stripe.endpoints


async def test_an_account_has_sixteen_endpoints_at_most(stripe: InMemoryStripe) -> None:
    endpoints = StripeEndpoints(stripe)
    for number in range(16):
        await endpoints.create(ACCOUNT, key=f"k{number}", form=FORM)
    with pytest.raises(StripeFault, match="maximum of 16"):
        await endpoints.create(ACCOUNT, key="k16", form=FORM)


async def test_keys_are_known_alive_and_have_permissions(stripe: InMemoryStripe) -> None:
    stripe.default = None
    stripe.keys = {"good": Key("acct_1"), "old": Key(dead=True), "small": Key(lacks=frozenset({"events"}))}
    probe = StripeProbe(stripe)
    answers = {
        (key, path): (await probe.send(key, "GET", f"https://stripe.test/v1/{path}")).status
        for key in ("good", "old", "small", "made-up")
        for path in ("account", "events?limit=1")
    }
    assert answers == {
        ("good", "account"): 200,
        ("good", "events?limit=1"): 200,
        ("old", "account"): 401,
        ("old", "events?limit=1"): 401,
        ("small", "account"): 200,
        ("small", "events?limit=1"): 403,
        ("made-up", "account"): 401,
        ("made-up", "events?limit=1"): 401,
    }
    missing = await probe.send("good", "POST", "https://stripe.test/v1/customers/nobody")
    assert (missing.status, missing.code) == (404, "resource_missing")


async def test_events_come_in_pages_and_by_time(stripe: InMemoryStripe) -> None:
    at = int(NOW.timestamp())
    stripe.undelivered = [StoredEvent(f"evt_{number}", "invoice.paid", at - number) for number in range(250)]
    found = await StripeEndpoints(stripe).undelivered(ACCOUNT, since=NOW, until=NOW, types=["*"])
    assert found == ("evt_0",)
    since = datetime.fromtimestamp(at - 300, UTC)
    assert (
        len(await StripeEndpoints(stripe).undelivered(ACCOUNT, since=since, until=NOW, types=["invoice.paid"])) == 250
    )
    assert stripe.asked.count(("GET", "events")) == 4


async def test_no_answer_is_a_fault(stripe: InMemoryStripe) -> None:
    stripe.fails = lambda *_: (0, None)
    with pytest.raises(StripeFault, match="does not answer"):
        await StripeEndpoints(stripe).create(ACCOUNT, key="k", form=FORM)
    assert (await StripeProbe(stripe).send("k", "GET", "https://stripe.test/v1/account")).status == 0


def pod(component: str, *, running: bool = True) -> Pod:
    name = f"p-{component}"
    state = {"running": {}} if running else {"waiting": {"reason": "ImagePullBackOff"}}
    labels = {"app.kubernetes.io/component": component}
    status = {"podIP": "10.0.0.1", "containerStatuses": [{"name": component, "state": state}]}
    return read_pod({"metadata": {"name": name, "uid": name, "labels": labels}, "status": status})


async def test_pods_take_their_own_commands_with_the_right_token() -> None:
    pods = InMemoryPods(token=lambda _: "t")
    api, worker = pod("api"), pod("worker")
    assert await pods.put(api, "/drain", {"drain": True}, token="t")
    assert pods.taken == {("p-api", "/drain"): True}
    for one, path, body, token in (
        (api, "/drain", {"drain": True}, "other"),
        (api, "/worker", {"claim": True}, "t"),
        (worker, "/worker", {"drain": True}, "t"),
        (pod("api", running=False), "/drain", {"drain": True}, "t"),
    ):
        assert not await pods.put(one, path, body, token=token)
    assert await pods.metrics(api) is None
    assert await pods.status(worker, token="other") == {}


async def test_a_role_needs_its_group_and_a_superuser_is_not_locked() -> None:
    roles = InMemoryRoles({"app": ("old", True)}, superusers={"postgres"})
    url = "postgresql://app_a:new@db/p"
    with pytest.raises(DatabaseFault, match="no role nobody"):
        await roles.prepare_role(admin_url="", url=url, group="nobody")
    await roles.prepare_role(admin_url="", url=url, group="app")
    assert roles.logs_in(url)
    assert await roles.lock_role(admin_url="", role="app_a")
    assert not roles.logs_in(url)
    assert not await roles.lock_role(admin_url="", role="postgres")

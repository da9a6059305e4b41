"""What the bake makes of what pods say, through the real reconciler: the unmeasured is never a success."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.operator.driven import Driven, Ports
from tests.unit.operator.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from payment_operator.model.pod import Pod

NEW = "registry/payments:2"


def metrics(requests: int, *, errors: int = 0, attempts: int = 1) -> str:
    route = 'route="/api/v1/payments/create-subscription"'
    return f"""# TYPE payments_http_requests_total counter
payments_http_requests_total{{method="POST",{route},status="200"}} {requests - errors}
payments_http_requests_total{{method="POST",{route},status="500"}} {errors}
# TYPE payments_http_request_duration_seconds histogram
payments_http_request_duration_seconds_bucket{{le="0.1",method="POST",{route}}} {requests}
payments_http_request_duration_seconds_bucket{{le="+Inf",method="POST",{route}}} {requests}
# TYPE payment_attempts_total counter
payment_attempts_total{{outcome="succeeded"}} {attempts}
"""


class Baking:
    """A release whose new pods say `text(look)`."""

    def __init__(self, text: Callable[[int], str | None], *, seconds: int = 60, **release: object) -> None:
        self.world = World()
        self.world.spec["release"] |= {"bake": {"seconds": seconds}, **release}
        self.looks: dict[str, int] = {}
        self.text = text
        self.driven = Driven(self.world, ports=Ports(self.world, self._metrics))
        self.blue = ""
        """What the former revision's pods say, if it is something else."""

    def measured(self) -> dict[str, dict[str, str]]:
        return {entry["name"]: entry for entry in self.world.status["bake"]["measures"]}

    def _metrics(self, pod: Pod) -> str | None:
        if self.blue and pod.revision == self.world.status["previous"]["hash"]:
            return self.blue
        self.looks[pod.uid] = self.looks.get(pod.uid, 0) + 1
        return self.text(self.looks[pod.uid])

    async def release(self, *, passes: int = 70) -> None:
        assert not await self.driven.passes(80)
        self.world.change(image=NEW)
        assert not await self.driven.passes(passes), "a pass died"


async def test_a_revision_that_fails_every_request_goes_back_however_few_they_are() -> None:
    for each_look, seconds in ((9, 60), (5, 300)):  # 0.9 and 0.5 requests/s a pod
        bad = Baking(lambda look, n=each_look: metrics(n * look, errors=n * look), seconds=seconds)  # type: ignore[misc]
        await bad.release(passes=130)
        assert bad.world.active() == "registry/payments:1"
        assert "of answers were 5xx" in bad.driven.told("BakeFailed")[0]


async def test_too_few_failures_in_a_row_fail_the_bake_at_its_end() -> None:
    bad = Baking(lambda look: metrics(2 * look, errors=2 * look), seconds=100)
    await bad.release()
    assert bad.world.active() == "registry/payments:1"
    assert "1000 ‰ of answers were 5xx" in bad.driven.told("BakeFailed")[0]


UNREADABLE = {
    "no answer": None,
    "HTML with 200": "<html><body>maintenance</body></html>",
    "a renamed label": metrics(100).replace("status=", "code="),
    "not a number": 'payments_http_requests_total{route="/api/x",status="500"} NaN\n',
    "another program's": "# TYPE up gauge\nup 1\n",
    "nothing": "",
}


@pytest.mark.parametrize("came", UNREADABLE)
async def test_metrics_that_cannot_be_read_are_no_success(came: str) -> None:
    held = Baking(lambda _: UNREADABLE[came], onInconclusive="Hold")
    await held.release(passes=120)
    assert held.world.active() == NEW
    assert not held.driven.told("Released") + held.driven.told("BakeFailed")
    said = held.world.conditions()["Baking"]
    assert (said["status"], said["reason"]) == ("True", "Inconclusive")
    assert "shop-api-" in said["message"]
    assert "revision 2 serves" in said["message"]
    assert held.world.conditions()["RollbackAvailable"]["status"] == "True"
    held.text = lambda look: metrics(20 * look, attempts=look)
    await held.driven.passes(20)
    assert held.driven.told("Released") == ["Revision 2 is stable"]


async def test_what_follows_an_inconclusive_bake_is_chosen() -> None:
    tested = Baking(lambda look: metrics(min(look, 4)))
    await tested.release()
    assert "nothing has proven it" in tested.driven.told("ReleasedUnproven")[0]
    assert tested.world.conditions()["Baking"]["reason"] == "Unproven"
    extended = Baking(lambda _: metrics(0), onInconclusive="Extend")
    extended.world.spec["release"]["bake"] = {"seconds": 60, "maxSeconds": 300}
    await extended.release(passes=50)
    assert extended.world.conditions()["Baking"]["reason"] == "Inconclusive"
    await extended.driven.passes(40)
    assert extended.driven.told("ReleasedUnproven")


@pytest.mark.parametrize("policy", ["Proceed", "Extend"])
async def test_what_most_of_the_few_answers_speak_against_is_not_taken_as_stable(policy: str) -> None:
    doubted = Baking(lambda look: metrics(min(look, 4), errors=min(look, 4)), onInconclusive=policy)
    doubted.world.spec["release"]["bake"] = {"seconds": 60, "maxSeconds": 90}
    await doubted.release(passes=120)
    assert "6 answers to callers who were let in, 6 of them 5xx" in doubted.world.conditions()["Baking"]["message"]
    assert not doubted.driven.told("ReleasedUnproven") + doubted.driven.told("Released")
    assert doubted.world.conditions()["RollbackAvailable"]["status"] == "True"


async def test_without_a_payment_attempt_nothing_is_proven() -> None:
    held = Baking(lambda look: metrics(100 * look, attempts=0), onInconclusive="Hold")
    await held.release()
    assert "0 payment attempts, 1 are needed" in held.world.conditions()["Baking"]["message"]
    held.world.ask("promote", 2, reason="seen enough")
    await held.driven.passes(5)
    assert held.world.conditions()["Baking"]["status"] == "False"


async def test_counters_that_begin_anew_and_another_operator_lose_no_evidence() -> None:
    good = Baking(lambda look: metrics(6 * (look % 4), attempts=look), onInconclusive="Hold", seconds=200)
    await good.release(passes=30)
    good.driven = Driven(good.world, ports=good.driven.ports)
    await good.driven.passes(40)
    assert good.driven.told("Released")


def paying(**outcomes: int) -> str:
    lines = [f'payment_attempts_total{{outcome="{name}"}} {count}' for name, count in outcomes.items()]
    return "\n".join([metrics(sum(outcomes.values()), attempts=0).partition("# TYPE payment_attempts")[0], *lines, ""])


async def test_payments_are_judged_against_the_former_revision_s() -> None:
    worse = Baking(lambda look: paying(succeeded=10 * look, declined=12 * look, duplicate=look))
    worse.blue = paying(succeeded=90, declined=10)
    await worse.release(passes=30)
    assert worse.world.active() == "registry/payments:1"
    told = worse.driven.told("BakeFailed")[0]
    assert "522 ‰ of payment attempts were declined, at most 300 ‰ are accepted" in told
    assert worse.measured()["declines"]["verdict"] == "Failed"
    same = Baking(lambda look: paying(succeeded=10 * look, declined=12 * look), onInconclusive="Hold")
    same.blue = paying(succeeded=50, declined=50)
    await same.release()
    assert same.driven.told("Released"), "many cards are declined, as before"
    refusing = Baking(lambda look: paying(succeeded=5 * look, duplicate=20 * look))
    refusing.blue = paying(succeeded=95, refused=5)
    await refusing.release(passes=30)
    assert "800 ‰ of payment attempts were refused" in refusing.driven.told("BakeFailed")[0]
    assert "as duplicates" in refusing.driven.told("BakeFailed")[0]


async def test_without_the_former_revision_s_attempts_nothing_is_compared() -> None:
    alone = Baking(lambda look: paying(succeeded=10 * look, declined=12 * look), onInconclusive="Hold")
    alone.blue = paying(succeeded=3)
    await alone.release()
    assert alone.driven.told("Released")
    found = alone.measured()["declines"]
    assert (found["verdict"], found["limit"]) == ("Inconclusive", "at most 200 ‰ above the former revision's")
    assert "before 6 of" not in found["evidence"]
    assert "20 of each are needed" in found["evidence"]


async def test_operations_that_faults_interrupt_fail_a_bake() -> None:
    def text(look: int) -> str:
        ended = f'payments_operations_total{{kind="create",outcome="ok",phase="charge"}} {10 * look}'
        fault = f'payments_operations_total{{kind="create",outcome="TypeError",phase="charge"}} {15 * look}'
        return f"{metrics(30 * look)}{ended}\n{fault}\n"

    bad = Baking(text)
    await bad.release(passes=30)
    assert "600 ‰ of operations' phases were interrupted" in bad.driven.told("BakeFailed")[0]


async def test_every_measure_stands_in_the_status_with_value_limit_and_evidence() -> None:
    good = Baking(lambda look: metrics(20 * look, attempts=look), onInconclusive="Hold")
    await good.release(passes=130)
    bake = good.world.status["bake"]
    assert (bake["revision"], bake["verdict"]) == (2, "Passed")
    found = good.measured()
    assert list(found) == [
        "readyPods",
        "restarts",
        "databaseErrors",
        "stripeFailures",
        "errorRatio",
        "p99",
        "interruptedOperations",
        "declines",
        "refusals",
    ]
    assert (found["errorRatio"]["value"], found["errorRatio"]["limit"]) == ("0 ‰", "at most 10 ‰")
    assert found["errorRatio"]["evidence"].startswith("0 of ")
    assert (found["p99"]["value"], found["p99"]["limit"]) == ("100 ms", "at most 1500 ms")
    assert all(entry["limit"] for entry in found.values())
    good.driven.store.calls.clear()
    await good.driven.passes(20)
    assert not good.driven.store.calls, "the numbers stay as they were"


@pytest.mark.parametrize(
    ("status", "verdict"), [(200, "Passed"), (401, "Failed"), (503, "Failed"), (0, "Inconclusive")]
)
async def test_the_probe_key_is_tried_at_every_look(status: int, verdict: str) -> None:
    tried = Baking(lambda look: metrics(20 * look, attempts=look), onInconclusive="Hold")
    tried.world.spec["release"] |= {"probeKeySecretRef": {"name": "probe"}}
    tried.driven.store.foreign["Secret", "probe"] = {"data": {"PROBE_API_KEY": "bHBfdGVzdA=="}}
    tried.driven.ports.accepts = lambda _: status
    await tried.release()
    assert tried.measured()["probeKey"]["verdict"] == verdict
    assert bool(tried.driven.told("Released")) == (verdict == "Passed")
    assert (tried.world.active() == NEW) == (verdict != "Failed")
    if verdict == "Failed":
        assert f"answers {status}" in tried.driven.told("BakeFailed")[0]
    if verdict == "Inconclusive":
        assert "probeKey proves nothing" in tried.world.conditions()["Baking"]["message"]

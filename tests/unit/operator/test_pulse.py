"""Which watches are looked at, and what proves that one lives."""

from __future__ import annotations

from payment_operator.runtime import handlers
from payment_operator.runtime.pulse import JSON, Pace, Pulse

PATH = "/api/v1/pods"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def pulse() -> tuple[Pulse, Clock]:
    clock = Clock()
    return Pulse([PATH], Pace(), clock=clock), clock


def test_every_watch_that_is_begun_is_looked_at() -> None:
    paths = handlers.paths(["shops"])
    registry = handlers.registry(
        changed=lambda _: None,
        deleted=lambda _: None,
        seen=lambda *_: None,
        pulse=Pulse(paths, Pace()),
        kubeconfig="",
    )
    begun = {handler.selector for handler in registry._watching.get_all_handlers()}
    assert len(begun) == len(paths)
    for selector in begun:
        assert selector is not None
        prefix = f"/apis/{selector.group}" if selector.group else "/api"
        assert f"{prefix}/{selector.version}/namespaces/shops/{selector.plural or selector.any_name}" in paths


def test_a_kind_that_an_upgrade_left_out_restarts_nothing_until_it_is_there() -> None:
    clock = Clock()
    seen = Pulse([PATH], Pace(), optional=[PATH], clock=clock)
    seen.request(PATH)
    seen.answered(PATH, status=404, kind=JSON)
    clock.now += 300
    assert not seen.problems()
    seen.request(PATH)
    seen.answered(PATH, status=200, kind=JSON)
    clock.now += 60
    seen.request(PATH)
    seen.answered(PATH, status=500, kind=JSON)
    assert "answered 500" in seen.problems()[0]


def test_only_requests_may_be_without_their_kind() -> None:
    assert handlers.optional_paths([]) == ["/apis/payments.leanconstruction.io/v1alpha1/environmentrequests"]


def test_streams_that_the_api_server_ends_in_time_are_life() -> None:
    seen, clock = pulse()
    for _ in range(10):
        assert seen.request(PATH) == 0
        seen.answered(PATH, status=200, kind=JSON)
        clock.now += 20
        assert not seen.problems()


def test_a_silent_stream_is_noticed_though_each_is_answered() -> None:
    seen, clock = pulse()
    found = []
    for _ in range(3):
        seen.request(PATH)
        seen.answered(PATH, status=200, kind=JSON)
        clock.now += 25
        found.append(bool(seen.problems()))
    assert found == [False, True, True]
    assert "silent" in seen.problems()[0]


def test_streams_that_end_at_once_wait_and_prove_nothing() -> None:
    seen, clock = pulse()
    for _ in range(31):
        clock.now += seen.request(PATH)
        seen.answered(PATH, status=200, kind=JSON)
        clock.now += 0.1
    assert clock.now > 1030, "not asked for without a pause"
    assert "end at once" in seen.problems()[0]


def test_falls_are_a_problem_when_they_go_on() -> None:
    seen, clock = pulse()
    seen.fell("garbage")
    assert not seen.problems()
    for _ in range(4):
        clock.now += 8
        seen.begin()
        seen.fell("garbage")
    assert "fall again and again, at last by garbage" in seen.problems()[0]
    clock.now += 29
    seen.begin()
    clock.now += 2
    assert not seen.problems(), "it has worked since"

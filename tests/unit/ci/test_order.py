"""The order of the cluster tier's modules under CI's clock."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from tests.ci import history
from tests.ci.order import BOOT, UNKNOWN_SECONDS, Past, affordable, expected, in_order, is_touched, since

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2026, 11, 28)
MODULES = [
    BOOT,
    "tests/cluster/test_smoke.py",
    "tests/cluster/chart/test_upgrade.py",
    "tests/cluster/operator/test_releases.py",
    "tests/cluster/operator/test_hundred_environments.py",
    "tests/cluster/plugin/test_verbs.py",
]


def days_ago(days: int, *, seconds: float = 60) -> Past:
    return Past(TODAY - timedelta(days=days), seconds)


def test_what_boots_a_cluster_itself_comes_first() -> None:
    past = {BOOT: days_ago(0)}
    assert in_order(MODULES, past=past, changed=["chart/values.yaml"], today=TODAY)[0] == BOOT


def test_what_a_change_touches_comes_before_what_was_left_out_longest() -> None:
    past = {name: days_ago(9) for name in MODULES} | {"tests/cluster/chart/test_upgrade.py": days_ago(0)}
    order = in_order(MODULES, past=past, changed=["chart/templates/_pod.tpl"], today=TODAY)
    assert order[1] == "tests/cluster/chart/test_upgrade.py"


def test_what_never_ran_comes_before_what_was_left_out_longest() -> None:
    past = {name: days_ago(age) for age, name in enumerate(MODULES[:-1], start=1)}
    order = in_order(MODULES, past=past, changed=[], today=TODAY)
    assert order[1:3] == [MODULES[-1], MODULES[-2]]


def test_a_machine_that_remembers_nothing_comes_to_every_module_first_within_as_many_days() -> None:
    firsts = {
        in_order(MODULES, past={}, changed=[], today=TODAY + timedelta(days=day))[1] for day in range(len(MODULES))
    }
    assert firsts == set(MODULES) - {BOOT}


def test_a_change_of_the_plugin_touches_its_own_modules_and_not_the_whole_operators() -> None:
    changed = ["operator/src/payment_operator/plugin/output.py"]
    assert is_touched("tests/cluster/plugin/test_verbs.py", changed=changed)
    assert not is_touched("tests/cluster/operator/test_hundred_environments.py", changed=changed)


def test_a_change_of_a_helper_beside_the_tests_touches_the_modules_of_its_folder() -> None:
    changed = ["tests/cluster/operator/harness.py"]
    assert is_touched("tests/cluster/operator/test_hundred_environments.py", changed=changed)
    assert not is_touched("tests/cluster/chart/test_upgrade.py", changed=changed)


def test_an_unknown_module_is_expected_to_take_a_while() -> None:
    assert expected("tests/cluster/test_new.py", past={}) == UNKNOWN_SECONDS


def test_what_would_end_too_late_is_not_affordable() -> None:
    assert affordable(5, now=70, until=75)
    assert not affordable(5.1, now=70, until=75)


def test_what_was_left_out_says_since_when() -> None:
    assert since(BOOT, past={BOOT: days_ago(3)}) == "not since 2026-11-25"
    assert since(BOOT, past={}) == "never on this machine"


def test_what_was_learnt_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "ci.json"
    history.save("abc", {BOOT: days_ago(1, seconds=12.5)}, where=file)
    assert history.load(file) == ("abc", {BOOT: days_ago(1, seconds=12.5)})


def test_a_file_that_cannot_be_read_is_as_good_as_none(tmp_path: Path) -> None:
    file = tmp_path / "ci.json"
    for content in ("", "[]", '{"commit": "abc", "modules": {"x": {"ran": "soon", "seconds": 1}}}'):
        file.write_text(content)
        assert history.load(file) == (None, {})

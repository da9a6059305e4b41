"""A request that cannot be meant is refused before anything is written."""

from __future__ import annotations

import pytest
from tests.unit.operator.plugin.objects import (
    AT,
    BLUE,
    GREEN,
    active,
    ago,
    candidate,
    condition,
    environment,
    previous,
    revision,
)

from payment_operator.plugin import precheck
from payment_operator.plugin.advice import advice
from payment_operator.plugin.errors import NotFound, Refused
from payment_operator.plugin.verdict import verdict

FAILED = {"revision": 18, "hash": GREEN, "attempt": 1, "reason": "SmokeFailed", "at": ago(40)}
STUCK = [condition("Stalled", "True", "SmokeFailed", "revision 18: SmokeFailed: 503; revision 17 serves")]
REVISIONS = [revision(17, BLUE, "2.0.0", seconds=60), revision(16, "0c11aa90", "1.9.4", seconds=90)]


def test_the_candidate_is_promoted() -> None:
    found = environment(status={"active": active(), "candidate": candidate("Hold")})
    assert precheck.promoted(found, None) == 18
    assert precheck.promoted(found, 18) == 18


def test_a_stale_revision_is_refused_with_the_present_one() -> None:
    found = environment(status={"active": active(), "candidate": candidate("Hold")})
    with pytest.raises(Refused, match="revision 17 is stale: revision 18 is being released") as refused:
        precheck.promoted(found, 17)
    assert "kubectl payments promote shop --revision 18" in refused.value.fix


@pytest.mark.parametrize("verb", [precheck.promoted, precheck.approved, precheck.aborted])
def test_without_a_release_there_is_nothing_to_decide(verb: object) -> None:
    with pytest.raises(Refused, match="no revision is being released") as refused:
        verb(environment(status={"active": active()}), None)  # type: ignore[operator]
    assert refused.value.fix == "kubectl payments status shop"


def test_a_revision_with_traffic_is_not_promoted_twice() -> None:
    found = environment(status={"active": active(), "candidate": candidate("Bake")})
    with pytest.raises(Refused, match="promoted already: its step is Bake") as refused:
        precheck.promoted(found, None)
    assert "--revision 18 --reason TEXT" in refused.value.fix
    assert precheck.promoted(found, None, reason="enough seen") == 18


def test_only_what_has_no_traffic_yet_is_approved() -> None:
    assert precheck.approved(environment(status={"active": active(), "candidate": candidate("Smoke")}), 18) == 18
    with pytest.raises(Refused, match="has traffic already"):
        precheck.approved(environment(status={"active": active(), "candidate": candidate("Bake")}), None)


def test_a_revision_with_traffic_is_rolled_back_not_aborted() -> None:
    found = environment(status={"active": active(), "candidate": candidate("Bake")})
    with pytest.raises(Refused, match="has traffic already") as refused:
        precheck.aborted(found, None)
    assert "kubectl payments rollback shop" in refused.value.fix


def test_the_last_failure_is_retried() -> None:
    assert (
        precheck.retried(environment(status={"active": active(), "failed": [FAILED], "conditions": STUCK}), None) == 18
    )


def test_what_was_refused_before_there_was_a_revision_is_retried_by_no_number() -> None:
    refused = [condition("Failing", "True", "WriteRefused", "ControllerRevision shop-1: Forbidden: exceeded quota")]
    found = environment(status={"active": active(), "conditions": refused})
    found["status"]["conditions"] += [
        condition("Ready", "False", "WriteRefused"),
        condition("Reconciling", "True", "V"),
    ]
    judged = verdict(found, AT)
    assert (judged.state, judged.headline) == ("NotReady", "Not ready: WriteRefused. Revision 17 serves.")
    assert advice(found, judged.state)[0].line == "kubectl payments retry shop"
    assert precheck.retried(found, None) is None
    with pytest.raises(Refused, match="no revision has failed"):
        precheck.retried(found, 18)


def test_failed_contract_migrations_of_the_serving_revision_are_retried() -> None:
    stuck = [condition("Stalled", "True", "ContractFailed", "Job shop-contract-9f3c1a2b-a1: a lock could not be had")]
    assert precheck.retried(environment(status={"active": active(), "conditions": stuck}), None) == 17


def test_a_failure_of_a_revision_that_nobody_asks_for_is_past() -> None:
    status = {"active": active(19), "failed": [FAILED]}
    with pytest.raises(Refused, match="no revision has failed"):
        precheck.retried(environment(status=status), None)


def test_traffic_goes_back_to_the_revision_before() -> None:
    found = environment(status={"active": active(), "previous": previous()})
    assert precheck.target_of_rollback(found, REVISIONS, None) == 16


def test_a_known_blocker_refuses_the_rollback() -> None:
    blocked = previous(rollbackable=False, blockedReason="the schema is too new", retainUntil=ago(-60))
    with pytest.raises(Refused, match="revision 16 at once is not possible: the schema is too new") as refused:
        precheck.target_of_rollback(environment(status={"active": active(), "previous": blocked}), REVISIONS, None)
    assert "forwards" in refused.value.fix


def test_a_revision_whose_pods_have_ended_is_named_to_be_released_once_more() -> None:
    found = environment(status={"active": active(), "previous": previous(rollbackable=False, blockedReason="ended")})
    with pytest.raises(Refused, match="not possible: ended") as refused:
        precheck.target_of_rollback(found, REVISIONS, None)
    assert "kubectl payments rollback shop --to 16" in refused.value.fix
    assert precheck.target_of_rollback(found, REVISIONS, 16) == 16


def test_without_an_earlier_revision_there_is_no_rollback() -> None:
    with pytest.raises(Refused, match="no earlier revision"):
        precheck.target_of_rollback(environment(status={"active": active()}), REVISIONS, None)


def test_traffic_does_not_go_back_to_where_it_is() -> None:
    found = environment(status={"active": active(), "previous": previous()})
    with pytest.raises(Refused, match="revision 17 serves already"):
        precheck.target_of_rollback(found, REVISIONS, 17)


def test_a_forgotten_revision_is_not_found() -> None:
    found = environment(status={"active": active(), "previous": previous()})
    with pytest.raises(NotFound, match="revision 3 is not remembered; there are 16, 17"):
        precheck.target_of_rollback(found, REVISIONS, 3)

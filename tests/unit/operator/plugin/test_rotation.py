"""``rotate``: what is refused before anything is written, and what a person is told to do."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.operator.plugin.drawn import compare
from tests.unit.operator.plugin.objects import AT, active, ago, ahead, candidate, condition, environment

from payment_operator.plugin import by_hand, precheck
from payment_operator.plugin.advice import advice
from payment_operator.plugin.errors import Refused
from payment_operator.plugin.rotation import WORDS, secret
from payment_operator.plugin.verdict import verdict

if TYPE_CHECKING:
    from pathlib import Path

    from payment_operator.plugin.kubectl import Object


def automatic(**status: Any) -> Object:
    """An environment whose operator makes the webhook endpoint and the database's passwords."""
    found = environment(status={"active": active()} | status)
    found["spec"]["stripe"]["webhook"] |= {"provider": "Managed", "url": "https://pay.example.com/hook"}
    found["spec"]["database"]["rotation"] |= {"mode": "AlternatingRoles", "roles": ["shop_a", "shop_b"]}
    return found


def by_itself(field: str, **reported: Any) -> Object:
    return automatic(rotation={field: {"version": 4, "fingerprint": "5f2a9c01d7e84b36"} | reported})


@pytest.mark.parametrize(("what", "compromised"), [*((what, False) for what in WORDS), ("database", True)])
def test_what_a_person_must_make_is_refused_with_the_steps(what: str, *, compromised: bool) -> None:
    with pytest.raises(Refused, match="a person makes the new") as refused:
        precheck.rotated(environment(status={"active": active()}), what, compromised=compromised)
    name = f"rotate-{what}-by-hand{'-compromised' if compromised else ''}"
    compare(name, [f"error: {refused.value}", refused.value.fix])


@pytest.mark.parametrize("what", ["webhook", "api-key"])
def test_the_operator_is_told_of_a_leak_of_what_a_person_makes_and_the_steps_are_said(what: str) -> None:
    found = environment(status={"active": active()}, release={"promotion": "Manual"})
    precheck.rotated(found, what, compromised=True)
    steps = by_hand.steps_of(found, what, compromised=True)
    compare(f"rotate-{what}-by-hand-compromised", [steps])
    assert "promote" not in steps  # a release that replaces a leaked key is not held


@pytest.mark.parametrize("state", ["Accepting", "Moving", "Removable", "Retaining", "Failed"])
def test_the_next_steps_of_secret_key_follow_from_what_pods_say(state: str) -> None:
    reported = {"state": state, "message": "2 API keys need the value 0c9d51aa77de9a1b"}
    found = environment(status={"active": active(), "rotation": {"secretKey": reported}})
    found["spec"]["secretKeyRef"] = {"name": "own", "key": "signing.key"}
    steps = by_hand.steps_of(found, "secret-key", compromised=False)
    compare(f"rotate-secret-key-{state.lower()}", [steps])
    assert ("openssl rand" in steps) is False  # a rotation is under way: no second new value


@pytest.mark.parametrize(
    ("held", "written"),
    [
        ("old", ["NEW,old", "NEW"]),
        ("old\n", ["NEW,old,", "NEW"]),
        ("one, two\nthree", ["NEW,one,two,three", "NEW"]),
    ],
)
def test_what_the_steps_of_secret_key_type_puts_a_value_before_the_others_and_leaves_the_first(
    held: str, written: list[str], tmp_path: Path
) -> None:
    """The commands are run by bash, with a kubectl and an openssl that stand in."""
    (tmp_path / "held").write_text(held)
    keep = """sed -E 's/.*:"(.*)"}}/\\1/' patch | tr -d '\\n' > held"""
    script = f'if [ "$1" = get ]; then cat held; else cat > patch; {keep}; fi'
    for name, does in {"kubectl": script, "openssl": "echo NEW"}.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{does}\n")
        (tmp_path / name).chmod(0o755)
    for state, expected in zip(["Current", "Removable"], written, strict=True):
        found = environment(status={"active": active(), "rotation": {"secretKey": {"state": state}}})
        steps = by_hand.steps_of(found, "secret-key", compromised=False)
        typed = [line.strip() for line in steps.splitlines() if line.startswith(("     VALUES=", "     kubectl patch"))]
        path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        subprocess.run(["/bin/bash", "-c", "\n".join(typed[:2])], cwd=tmp_path, env=path, check=True)
        assert json.loads((tmp_path / "patch").read_text()) == {"stringData": {"SECRET_KEY": expected}}


def test_steps_by_hand_of_live_mode_with_manual_promotion_name_that_page_and_the_promotion() -> None:
    found = environment(release={"promotion": "Manual"})
    found["spec"]["stripe"] |= {"mode": "Live", "apiKey": {"secretRef": {"name": "stripe", "key": "live"}}}
    steps = by_hand.steps_of(found, "api-key", compromised=False)
    assert "https://dashboard.stripe.com/apikeys" in steps
    assert "kubectl payments promote shop -n billing" in steps
    assert "the Secret stripe, key live" in steps
    assert "kubectl payments promote shop" in by_hand.steps_of(found, "database", compromised=False)


@pytest.mark.parametrize("what", ["webhook", "database"])
def test_what_the_operator_makes_may_be_rotated(what: str) -> None:
    precheck.rotated(automatic(), what)
    precheck.rotated(by_itself(what, state="Current"), what)
    precheck.rotated(by_itself(what, state="Failed", message="refused"), what)
    with pytest.raises(Refused, match="Stripe has no call"):
        precheck.rotated(automatic(), "api-key")


@pytest.mark.parametrize(
    ("what", "state"),
    [
        ("webhook", "Creating"),
        ("webhook", "Accepting"),
        ("webhook", "Overlapping"),
        ("webhook", "Retiring"),
        ("webhook", "Abandoning"),
        ("database", "Preparing"),
    ],
)
def test_a_rotation_that_runs_refuses_another_and_says_what_it_waits_for(what: str, state: str) -> None:
    found = by_itself(what, state=state, message="it waits for something")
    with pytest.raises(Refused, match=f"rotation 4 is under way, {state}: it waits for something") as refused:
        precheck.rotated(found, what)
    assert "kubectl payments status shop" in refused.value.fix
    precheck.rotated(found, what, compromised=True)


def test_a_password_is_not_rotated_in_the_middle_of_a_release() -> None:
    with pytest.raises(Refused, match="revision 18 is being released, and a new password is a release") as refused:
        precheck.rotated(automatic(candidate=candidate("Hold")), "database")
    assert refused.value.fix.endswith("kubectl payments status shop -w")
    precheck.rotated(automatic(candidate=candidate("Retire")), "database")
    precheck.rotated(automatic(candidate=candidate("Hold")), "webhook")
    precheck.rotated(automatic(candidate=candidate("Hold")), "database", compromised=True)


def test_a_password_is_not_rotated_before_a_revision_serves() -> None:
    with pytest.raises(Refused, match="no revision serves yet"):
        precheck.rotated(automatic(active=None), "database")


@pytest.mark.parametrize(
    ("reported", "left", "proposed"),
    [
        ({"state": "Current", "nextRotation": ahead(60)}, 60, []),
        ({"state": "Current", "nextRotation": ago(60)}, 0, []),  # the operator begins it
        ({"state": "Current"}, None, []),
        ({"state": "Failed"}, None, ["kubectl payments rotate webhook shop -n billing"]),
    ],
)
def test_a_managed_secret_needs_a_person_only_when_its_rotation_failed(
    reported: Object, left: int | None, proposed: list[str]
) -> None:
    found = secret(by_itself("webhook", **reported), "webhook", AT, suffix=" -n billing")
    assert found is not None
    assert (found.version, found.next_seconds) == (4, left)
    assert [command.line for command in found.next] == proposed


def test_a_secret_of_which_nothing_is_reported_is_not_shown() -> None:
    assert secret(automatic(), "webhook", AT) is None


@pytest.mark.parametrize(
    ("rotation", "says"),
    [
        ({"database": {"state": "Preparing"}}, "A new database password is on its way."),
        ({"database": {"state": "Releasing"}}, "A new database password is on its way."),
        ({"apiKey": {"state": "Releasing"}}, "A new API key is on its way."),
        ({"webhook": {"state": "Overlapping"}}, "Nothing is being released."),
    ],
)
def test_a_watch_waits_for_a_secret_whose_release_is_about_to_begin(rotation: Object, says: str) -> None:
    serves = [condition("Ready", "True", "Serving")]
    judged = verdict(automatic(rotation=rotation, conditions=serves), AT)
    assert says in judged.headline
    assert (judged.state == "Settled") == (says == "Nothing is being released.")


def test_a_new_key_that_waits_for_the_spec_is_not_called_on_its_way() -> None:
    why = "what the spec asks for waits for a change of the spec, for a person went back to revision 17"
    seen = [condition("Ready", "True", "Serving"), condition("TrafficSwitched", "False", "OtherRevision", why)]
    found = automatic(rotation={"apiKey": {"state": "Releasing"}}, conditions=seen)
    judged = verdict(found, AT)
    assert ["put the spec back" in command.effect for command in advice(found, judged.state)] == [True]
    assert (judged.state, judged.detail) == ("Waiting", why)
    assert "on its way" not in judged.headline


def test_a_held_release_that_replaces_a_leaked_secret_shows_the_other_way() -> None:
    way = "it replaces a leaked secret: for that alone put the spec back to what revision 17 has"
    held = candidate("Hold", waitingFor=f"kubectl annotate penv shop x/promote=18; {way}")
    assert verdict(automatic(candidate=held), AT).detail == way

"""Which values of `SECRET_KEY` the API pods have: what the user's Secret asks for, in an order that loses no API key.

1. A new value is put behind the others, until every running API pod says that it has it.
2. Then the order is that of the user's Secret: the new value signs, and each API key that is used moves to it.
3. A value that is gone from the user's Secret goes when no usable API key needs it any more, by every pod's word.

Pods read the file anew, none restarts, nothing is released. Each step rests on what pods say, so a crash costs time.
"""

from datetime import timedelta
from typing import Final

from payment_operator import names
from payment_operator.decide.turn import AT_ONCE, Turn
from payment_operator.fingerprints import fingerprint
from payment_operator.model.actions import Apply
from payment_operator.model.observed import ClusterState, Observed
from payment_operator.model.pod import Pod
from payment_operator.model.secret_keys import KeyReport, ValueNeed
from payment_operator.resources import secret_keys
from payment_operator.resources.metadata import Manifest
from payment_operator.resources.release_record import moment, stamp
from payment_operator.resources.secret_keys import MAXIMUM_VALUES, SECRET_KEY, SecretKeysRecord

SETTLED_AFTER: Final = timedelta(minutes=5)
"""For so long another value must have signed before one goes: keys of the last moments are on every replica then."""
POLL_SECONDS: Final = 5.0
IDLE_SECONDS: Final = 60.0

Values = tuple[str, ...]


def advance(turn: Turn) -> None:
    """Take the values one step closer to what the user's Secret asks for."""
    observed = turn.observed
    if not turn.staged.usable:
        return
    present, wanted = live(observed), next_values(observed)
    if wanted != present:
        _write(turn, present, wanted)
    elif present != asked(observed):
        turn.decision.look_again(POLL_SECONDS)
    elif len(present) > 1:
        turn.decision.look_again(IDLE_SECONDS)


def next_values(observed: Observed) -> Values:
    """The values that pods are to have now."""
    present, source = live(observed), asked(observed)
    if not present:
        return source
    if not seen_by_all(observed):
        return present
    # one at a time: a key that two values find needs the second once the first is gone
    gone = next((value for value in reversed(present) if value not in source and may_go(observed, value)), None)
    kept = tuple(value for value in present if value != gone)
    new = tuple(value for value in source if value not in present)
    if new and len(present) + len(new) <= MAXIMUM_VALUES:
        return present + new
    if new:
        return kept
    ordered = source + tuple(value for value in present if value not in source)
    return ordered if ordered != present else kept


def _write(turn: Turn, present: Values, wanted: Values) -> None:
    observed, now = turn.observed, stamp(turn.observed.now)
    record = recorded(observed)
    if wanted[0] not in present[:1]:
        record = SecretKeysRecord(number=record.number + 1, signs_since=now)
    manifest = secret_keys.manifest(observed.owner, wanted, record, former=_secret(observed))
    turn.decision.actions.append(Apply(manifest))
    turn.decision.look_again(AT_ONCE)
    if present:
        turn.decision.emit_event("SecretKeyChanged", _change_message(observed, present, wanted))


def _change_message(observed: Observed, present: Values, wanted: Values) -> str:
    new, gone = ([fingerprint_of(observed, v) for v in one if v not in other] for one, other in _pairs(present, wanted))
    if new:
        return f"Pods learn the value {', '.join(new)} of SECRET_KEY; it signs when every one has it"
    if gone:
        return f"The value {', '.join(gone)} of SECRET_KEY is accepted no longer: no API key needs it"
    return (
        f"The value {fingerprint_of(observed, wanted[0])} of SECRET_KEY signs; API keys move to it when they are used"
    )


def _pairs(present: Values, wanted: Values) -> tuple[tuple[Values, Values], tuple[Values, Values]]:
    return (wanted, present), (present, wanted)


# what is so


def _secret(observed: ClusterState) -> Manifest | None:
    return observed.objects.get(("Secret", names.secret_keys(observed.owner.name)))


def live(observed: ClusterState) -> Values:
    """The values that pods are given, the one that signs first."""
    return secret_keys.decode(_secret(observed))[0]


def recorded(observed: Observed) -> SecretKeysRecord:
    """What is remembered of the value that signs."""
    return secret_keys.decode(_secret(observed))[1]


def asked(observed: ClusterState) -> Values:
    """The values in the user's Secret."""
    return secret_keys.split(observed.sources.values.get(SECRET_KEY, ""))


def fingerprint_of(observed: ClusterState, value: str) -> str:
    """The fingerprint of a value, as pods report it."""
    return fingerprint(value, salt=observed.owner.uid)


def busy(observed: ClusterState) -> bool:
    """Whether what pods say may change their values now."""
    return live(observed) != asked(observed)


def reporting(observed: ClusterState) -> list[Pod]:
    """API pods that run; a worker has no SECRET_KEY."""
    return [
        pod
        for pod in observed.pods
        if pod.component == names.API and pod.running and pod.ip and not pod.finished and not pod.job
    ]


def lacking(observed: Observed) -> list[str]:
    """Names of running API pods that do not say that they have just the values they are given, in their order."""
    wanted = tuple(fingerprint_of(observed, value) for value in live(observed))
    reports = observed.secret_keys.reports or {}
    return [
        pod.name
        for pod in reporting(observed)
        if (report := reports.get(pod.uid)) is None or report.fingerprints != wanted
    ]


def seen_by_all(observed: Observed) -> bool:
    """Whether every running API pod has the values that it is given."""
    return observed.secret_keys.reports is not None and not lacking(observed)


def needing(observed: Observed, value: str) -> ValueNeed | None:
    """The most API keys that a pod says need a value; None while one of them does not know."""
    wanted, found = fingerprint_of(observed, value), []
    for report in _reports(observed):
        entry = next((need for need in report.of_one_moment() if need.fingerprint == wanted), None)
        if entry is None:
            return None
        found.append(entry)
    return max(found, key=lambda need: need.keys, default=None)


def _reports(observed: Observed) -> list[KeyReport]:
    """Of the pods that run now; one that did not answer has said nothing."""
    reports = observed.secret_keys.reports or {}
    return [reports.get(pod.uid) or KeyReport() for pod in reporting(observed)]


def may_go(observed: Observed, value: str) -> bool:
    """Whether no API key needs a value, nor can come to need it."""
    need, since = needing(observed, value), recorded(observed).signs_since
    settled = since != "" and observed.now - moment(since) >= SETTLED_AFTER
    return value != live(observed)[0] and seen_by_all(observed) and settled and need is not None and not need.keys


def missing(observed: Observed) -> tuple[ValueNeed, ...]:
    """Values that pods lack though API keys need them: those keys are refused."""
    reports = _reports(observed)
    return reports[0].missing if reports and seen_by_all(observed) else ()


def retained(observed: Observed) -> list[tuple[str, ValueNeed]]:
    """Values that are gone from the user's Secret and are kept, with how many API keys need them."""
    former = [value for value in live(observed) if value not in asked(observed)]
    return [(value, need) for value in former if (need := needing(observed, value)) is not None and need.keys]

"""What the status says of the secrets that are rotated."""

from datetime import timedelta

from payment_operator import names
from payment_operator.api.rotation import (
    ApiKeyStatus,
    DatabasePasswordStatus,
    KeyState,
    PasswordState,
    PendingKey,
    RotationStatus,
)
from payment_operator.decide.rotation import api_key, database
from payment_operator.decide.rotation.staged_credentials import checked, current_login
from payment_operator.decide.status.secret_keys import secret_key_status
from payment_operator.decide.status.webhook import webhook_status
from payment_operator.decide.turn import Turn
from payment_operator.fingerprints import fingerprint
from payment_operator.model.key_proof import KeyCheck
from payment_operator.model.observed import Observed, Revision
from payment_operator.resources.credentials import API_KEY, DATABASE, held
from payment_operator.resources.login import login_of
from payment_operator.resources.release_record import moment, stamp


def rotation_of(turn: Turn, former: RotationStatus | None) -> RotationStatus | None:
    """The whole; None while nothing has served."""
    found = RotationStatus(
        webhook=webhook_status(turn),
        api_key=_api_key(turn, former.api_key if former else None),
        database=_database(turn),
        secret_key=secret_key_status(turn),
    )
    return None if found == RotationStatus() else found


def _api_key(turn: Turn, former: ApiKeyStatus | None) -> ApiKeyStatus | None:
    observed, active = turn.observed, turn.placement.active
    key, check = observed.credentials(active).get(API_KEY, ""), checked(observed)
    if not key and check is None:
        return None
    key_fingerprint = fingerprint(key, salt=observed.owner.uid) if key else ""
    same = former is not None and former.fingerprint == key_fingerprint
    since = (former.rotated_at if same and former else None) or _first_seen(observed, key)
    due = moment(since) + timedelta(seconds=observed.spec.stripe.api_key.max_age_seconds) if since else None
    old = api_key.replaced(observed, active) if active is not None and active.record.stable_at else None
    return ApiKeyStatus(
        state=_state(observed, key, check),
        version=version_of(observed, active),
        fingerprint=key_fingerprint,
        account=_account(former, check, key_fingerprint) or observed.api_key.account,
        rotated_at=since,
        next_rotation=stamp(due) if due else None,
        pending=_pending(check),
        revocable=old[0][-api_key.ENDING :] if old else None,
    )


def _state(observed: Observed, key: str, check: KeyCheck | None) -> KeyState:
    if check is not None and check.state != "Valid":
        return check.state
    return "Current" if observed.sources.values.get(API_KEY) == key else "Releasing"


def _account(former: ApiKeyStatus | None, check: KeyCheck | None, key_fingerprint: str) -> str:
    """The account of the key in use, remembered from its proof; all keys of an environment are of one account."""
    if not key_fingerprint:
        return ""
    if former is not None and former.account:
        return former.account
    pending = former.pending if former else None
    if pending is not None and pending.fingerprint == key_fingerprint:
        return pending.account
    return check.account if check is not None and check.state == "Valid" else ""


def _pending(check: KeyCheck | None) -> PendingKey | None:
    if check is None:
        return None
    return PendingKey(
        fingerprint=check.fingerprint,
        state=check.state,
        reason=check.reason,
        message=check.message,
        account=check.account,
        checked_at=stamp(check.at),
    )


def version_of(observed: Observed, revision: Revision | None) -> int:
    """The number of a revision's credentials."""
    item = observed.credentials_secret(revision) or {}
    annotations = (item.get("metadata") or {}).get("annotations") or {}
    return int(annotations.get(names.ANNOTATION_CREDENTIALS_VERSION, 0))


def _first_seen(observed: Observed, key: str) -> str | None:
    """When the first version of the credentials with this key was made."""
    made = [
        item["metadata"].get("creationTimestamp", "")
        for (kind, _), item in observed.objects.items()
        if kind == "Secret" and key and held(item).get(API_KEY) == key
    ]
    return min(filter(None, made), default=None)


def _database(turn: Turn) -> DatabasePasswordStatus | None:
    observed, active = turn.observed, turn.placement.active
    if observed.spec.database.rotation.mode != "AlternatingRoles" or active is None:
        return None
    record, due = observed.role_rotation, database.due_at(observed)
    login = login_of(observed.credentials(active).get(DATABASE, ""))
    state, message = _progress(turn)
    return DatabasePasswordStatus(
        state=state,
        version=record.number if record else 0,
        role=login.role,
        former_role=record.former.role if record and record.former else None,
        fingerprint=fingerprint(login.password, salt=observed.owner.uid),
        rotated_at=(record.rotated_at or None) if record else None,
        next_rotation=stamp(due) if due else None,
        message=message,
    )


def _progress(turn: Turn) -> tuple[PasswordState, str]:
    observed, record = turn.observed, turn.observed.role_rotation
    if observed.role_fault is not None and record is not None and (record.next or record.former):
        return "Failed", turn.clean(observed.role_fault.message)
    if record is None or (record.next is None and record.former is None):
        due = database.due_at(observed)
        late = (record is not None and record.compromised) or (due is not None and observed.now >= due)
        return "Current", f"the next rotation waits for {database.waits_for(turn)}" if late else ""
    if record.next is not None:
        return "Preparing", f"{record.next.role} gets a new password"
    used = login_of(observed.credentials(turn.placement.active).get(DATABASE, ""))
    if used == current_login(observed):
        return "Retaining", "the former role is locked when the pods that use it have ended"
    why = _unreleased(turn)
    return ("Failed", why) if why else ("Releasing", "")


def _unreleased(turn: Turn) -> str:
    """Why the new password is not on its way into a revision; empty when it is."""
    if turn.placement.withheld:
        return f"the new password waits for {turn.placement.withheld}"
    failed = turn.placement.failed
    return f"revision {failed.number} with the new password failed; rotate again, or retry it" if failed else ""

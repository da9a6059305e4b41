"""Rotation of the database's password over two roles: the idle one gets a new password and is released blue-green.

Persisted before each act in the Secret `<env>-database-roles`: the login that is to be made, then that it works
(from then on revisions get it), then that the former role is locked. Every act can be done again.
"""

from datetime import datetime, timedelta

import msgspec

from payment_operator import names
from payment_operator.decide.placement import active_of, baking
from payment_operator.decide.rotation.staged_credentials import UNREADABLE, current_login, group_of
from payment_operator.decide.turn import AT_ONCE, Turn
from payment_operator.model.actions import Create, LockRole, Patch, PrepareRole, key_of
from payment_operator.model.observed import Observed, Revision
from payment_operator.resources import database_roles
from payment_operator.resources.credentials import ADMIN_URL, DATABASE, MIGRATION
from payment_operator.resources.database_roles import RoleRotation, StoredLogin
from payment_operator.resources.login import login_of, with_login
from payment_operator.resources.release_record import moment, stamp


def advance(turn: Turn) -> None:
    """Begin a rotation that is due, or take the present one further."""
    observed, record = turn.observed, turn.observed.role_rotation
    if observed.spec.database.rotation.mode != "AlternatingRoles" or not turn.staged.usable or _written(turn):
        return
    if record is not None and record.next is not None:
        turn.attempt(_prepare(turn, record, record.next), fault=observed.role_fault)
    elif record is not None and record.former is not None:
        _lock(turn, record, record.former)
    else:
        _rest(turn, leaked=record is not None and record.compromised)


def _rest(turn: Turn, *, leaked: bool) -> None:
    """No rotation is under way: begin one that is due."""
    observed = turn.observed
    due = observed.now if leaked else due_at(observed)
    if due is None or (observed.suspended and not leaked):
        return
    if observed.now < due:
        turn.decision.look_again(turn.seconds_until(due))
    elif not waits_for(turn):
        begin(turn)
    elif leaked:
        turn.decision.look_again(5)


def _written(turn: Turn) -> bool:
    """Whether this turn writes the record already."""
    key = ("Secret", names.database_roles(turn.observed.owner.name))
    return any(
        (isinstance(action, Patch) and (action.kind, action.name) == key)
        or (isinstance(action, Create) and key_of(action.manifest) == key)
        for action in turn.planned
    )


def due_at(observed: Observed) -> datetime | None:
    """When the next rotation begins by itself."""
    rotation, since = observed.spec.database.rotation, _since(observed)
    if rotation.mode != "AlternatingRoles" or not since:
        return None
    return moment(since) + timedelta(seconds=rotation.interval_seconds)


def _since(observed: Observed) -> str:
    """When the present password was made; without a record of it, when its credentials or the environment were."""
    if observed.role_rotation is not None and observed.role_rotation.rotated_at:
        return observed.role_rotation.rotated_at
    secret = observed.credentials_secret(active_of(observed))
    ours = secret is not None and current_login(observed) is not None
    metadata = secret["metadata"] if secret is not None and ours else observed.metadata
    return str(metadata.get("creationTimestamp", ""))


def waits_for(turn: Turn) -> str:
    """What must end before a rotation can begin; empty when nothing must."""
    observed, placement, active = turn.observed, turn.placement, turn.placement.active
    record = observed.role_rotation
    if record is not None and record.next is not None:
        return f"the rotation to {record.next.role} to end"
    if active is None or active.record.state != "Active":
        return "a revision to serve"
    if baking(active) or placement.candidate is not None or placement.fresh or observed.overlapping:
        return "the release to end"
    if placement.withheld:
        return placement.withheld
    idle = _idle(observed, active)
    users = [r for r in observed.revisions.values() if r.digest in observed.populated() and r.digest != active.digest]
    if any(role_of(observed, revision) == idle for revision in users):
        return f"the pods that use {idle} to end"
    return ""


def request_rotation(turn: Turn, *, operation: str, compromised: bool) -> tuple[bool, str]:
    """Begin a rotation because a person asks for it; tell whether, and what to answer."""
    observed, record = turn.observed, turn.observed.role_rotation
    if record is not None and record.operation == operation:
        return True, f"rotation {record.number} of the database's password began"
    if observed.spec.database.rotation.mode != "AlternatingRoles":
        return (
            False,
            "spec.database.rotation.mode is None: set AlternatingRoles, or put the new DATABASE into its Secret",
        )
    if not turn.staged.usable:
        return False, UNREADABLE
    why = waits_for(turn) or ("the former role to be locked" if _retained(turn) else "")
    if why and compromised:
        return True, _leaked(turn, why, operation)
    if why:
        return False, f"a rotation must wait for {why}; ask again then"
    role = begin(turn, compromised=compromised, operation=operation)
    return True, f"a rotation of the database's password begins: {role} gets a new one"


def _retained(turn: Turn) -> bool:
    """Whether the former role still logs in beside the one in use."""
    record = turn.observed.role_rotation
    return record is not None and record.former is not None and _in_use(turn, record)


def _leaked(turn: Turn, why: str, operation: str) -> str:
    """Write down that a password has leaked: any that exists may be the one.

    The role that is being prepared gets another new password; a former role is locked as soon as its pods have ended,
    and then the role in use is replaced too.
    """
    observed = turn.observed
    record = observed.role_rotation or _found(observed)
    follow = record.former is not None
    fresh = StoredLogin(record.next.role, observed.fresh_password) if record.next is not None else None
    marked = msgspec.structs.replace(record, next=fresh, compromised=True, again=follow, operation=operation)
    _save(turn, marked)
    if fresh is not None:
        return f"rotation {record.number} goes on without hold and retention, with another new password"
    if record.former is not None and turn.placement.withheld and not _in_use(turn, record):
        return f"rotation {record.number} goes on without hold and retention after {turn.placement.withheld}"
    if record.former is not None:
        return f"{record.former.role} is locked without retention; then the next rotation begins"
    way_out = "" if turn.placement.withheld else "; promote a release that is held, or put the spec back"
    return f"a rotation of the database's password begins after {why}{way_out}"


def begin(turn: Turn, *, compromised: bool = False, operation: str = "") -> str:
    """Write down which role gets a new password, and return its name; nothing else is done yet."""
    observed, active = turn.observed, turn.placement.active
    former = observed.role_rotation or _found(observed)
    role = _idle(observed, active)
    record = msgspec.structs.replace(
        former,
        number=former.number + 1,
        next=StoredLogin(role, observed.fresh_password),
        compromised=compromised or former.compromised,
        operation=operation or former.operation,
    )
    _save(turn, record)
    turn.decision.emit_event("DatabaseRotationStarted", f"Rotation {record.number}: {role} gets a new password")
    return role


def _save(turn: Turn, record: RoleRotation) -> None:
    """Write the record over the version that was read, or the first one."""
    observed = turn.observed
    first = Create(database_roles.secret(observed.owner, record))
    turn.decision.actions.append(write(observed, record) if record.version else first)
    turn.decision.look_again(AT_ONCE)


def _found(observed: Observed) -> RoleRotation:
    """The record of an environment that has none: of before the first rotation, or a deleted one made again."""
    login = current_login(observed)
    return RoleRotation(current=StoredLogin.of(login) if login else None)


def write(observed: Observed, record: RoleRotation) -> Patch:
    """Write the record over the version that was read."""
    operations = (
        {"op": "test", "path": "/metadata/resourceVersion", "value": record.version},
        {"op": "add", "path": "/data", "value": {database_roles.KEY: database_roles.encode(record)}},
    )
    return Patch("Secret", names.database_roles(observed.owner.name), operations)


def role_of(observed: Observed, revision: Revision | None) -> str:
    """The role that a revision's pods log in with."""
    return login_of(observed.credentials(revision).get(DATABASE, "")).role


def _idle(observed: Observed, active: Revision | None) -> str:
    taken = role_of(observed, active)
    return next(role for role in observed.spec.database.rotation.roles if role != taken)


def _prepare(turn: Turn, record: RoleRotation, login: StoredLogin) -> PrepareRole:
    observed, values = turn.observed, turn.staged.values
    used = login_of(observed.credentials(turn.placement.active).get(DATABASE, values[DATABASE]))
    done = msgspec.structs.replace(
        record,
        current=login,
        next=None,
        former=StoredLogin.of(used),
        rotated_at=stamp(observed.now),
    )
    return PrepareRole(
        admin_url=values[ADMIN_URL],
        url=with_login(values[DATABASE], login.login()),
        group=group_of(observed),
        then=write(observed, done),
    )


def _lock(turn: Turn, record: RoleRotation, former: StoredLogin) -> None:
    """Lock the former role once the new one has proven itself and no pod uses the former."""
    observed = turn.observed
    if not _proven(turn, record):
        return
    kept = {revision.digest for revision in (*turn.placement.running, turn.placement.candidate) if revision is not None}
    users = [r for r in observed.revisions.values() if r.digest in observed.populated() | kept]
    if any(role_of(observed, revision) == former.role for revision in users):
        turn.decision.look_again(5)
        return
    locked = msgspec.structs.replace(record, former=None, compromised=record.again, again=False)
    done = write(observed, locked)
    if former.role in _kept(observed):
        turn.decision.actions.append(done)
        leaked = "; its password still works, change it by hand" if record.compromised else ""
        told = f"{former.role} has other duties and was not locked{leaked}"
        turn.decision.emit_event("DatabaseRoleKept", told, warning=True)
        return
    lock = LockRole(observed.sources.values[ADMIN_URL], former.role, then=done)
    turn.attempt(lock, fault=observed.role_fault)


def _proven(turn: Turn, record: RoleRotation) -> bool:
    """Whether the active revision uses the new login and has passed its bake."""
    active = turn.placement.active
    if active is None or active.record.state != "Active" or not active.record.stable_at:
        return False
    return _in_use(turn, record)


def _in_use(turn: Turn, record: RoleRotation) -> bool:
    """Whether the active revision logs in as the rotation wants it."""
    used = login_of(turn.observed.credentials(turn.placement.active).get(DATABASE, ""))
    return record.current is not None and used == record.current.login()


def _kept(observed: Observed) -> set[str]:
    """Placement that are never locked: those that administer and migrate."""
    values = observed.sources.values
    return {login_of(values[name]).role for name in (ADMIN_URL, MIGRATION) if name in values}


def blocker(observed: Observed, revision: Revision) -> str:
    """Why a revision's database login works no longer; empty when it does."""
    record = observed.role_rotation
    if observed.spec.database.rotation.mode != "AlternatingRoles" or record is None or record.current is None:
        return ""
    login = login_of(observed.credentials(revision).get(DATABASE, ""))
    good = [known.login() for known in (record.current, record.former) if known is not None]
    altered = record.next is not None and record.next.role == login.role
    if login in good and not altered:
        return ""
    return f"its database role {login.role} is locked or has a new password"

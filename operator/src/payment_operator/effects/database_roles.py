"""Does what a rotation asks of the database, and tells what came of it."""

from payment_operator.backoff import Backoff
from payment_operator.clients.protocols import DatabaseRoles
from payment_operator.errors import DatabaseFault
from payment_operator.model.actions import LockRole, Part, PrepareRole
from payment_operator.model.observed import Observed
from payment_operator.redaction import redact
from payment_operator.resources.login import login_of


async def work_on_role(
    action: PrepareRole | LockRole,
    roles: DatabaseRoles,
    backoff: Backoff,
    observed: Observed,
    part: Part,
    *,
    secrets: tuple[str, ...],
) -> bool:
    """Do it; tell whether it may be written down as done. `secrets` stand in no words."""
    authority = observed.sources.authority
    try:
        if isinstance(action, PrepareRole):
            await roles.prepare_role(
                admin_url=action.admin_url, url=action.url, group=action.group, authority=authority
            )
            role = login_of(action.url).role
            part.emit_event("DatabasePasswordMade", f"{role} logs in with its new password; it is released now")
        elif await roles.lock_role(admin_url=action.admin_url, role=action.role, authority=authority):
            part.emit_event("DatabaseRoleLocked", f"{action.role} logs in no more, its sessions were ended")
        else:
            why = f"{action.role} is a superuser and was not locked; if its password has leaked, change it by hand"
            part.emit_event("DatabaseRoleKept", why, warning=True)
    except DatabaseFault as error:
        message = redact(str(error), secrets)
        known = backoff.fault is not None and backoff.fault.message == message
        part.look_again(backoff.failed(message, now=observed.now))
        if not known:
            part.emit_event("DatabaseRotationFailed", message, warning=True)
        return False
    backoff.done()
    return True

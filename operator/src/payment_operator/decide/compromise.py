"""Whether a new revision replaces a secret that has leaked: then it is not held, and nothing of the old is retained."""

from payment_operator.decide.staging import in_use
from payment_operator.observed import Observed
from payment_operator.resources.credentials import DATABASE
from payment_operator.resources.login import login_of


def compromised(observed: Observed) -> bool:
    """Whether the credentials that are staged replace a leaked one of the active revision."""
    record = observed.role_rotation
    if record is None or not record.compromised or record.current is None:
        return False
    staged, live = (login_of(values.get(DATABASE, "")) for values in (observed.sources.values, in_use(observed)))
    return staged == record.current.login() != live

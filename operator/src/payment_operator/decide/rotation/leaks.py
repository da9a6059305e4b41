"""Whether a release replaces a secret that has leaked: then what served before is not retained.

It is not held either, if nothing else changes with it: haste lets no image through that nobody has approved.
"""

from payment_operator.model.observed import Observed, Revision
from payment_operator.resources.credentials import API_KEY, DATABASE
from payment_operator.resources.login import login_of
from payment_operator.resources.revisions import same_but_for_credentials


def replaces_leaked(observed: Observed, old: Revision | None, new: Revision) -> bool:
    """Whether the old revision has a leaked API key or database password, and the new one has another."""
    former, present = observed.credentials(old), observed.credentials(new)
    keys = leaked_keys(observed)
    if former.get(API_KEY) in keys and present.get(API_KEY) not in keys:
        return True
    record = observed.role_rotation
    if record is None or not record.compromised or record.current is None:
        return False
    return login_of(present.get(DATABASE, "")) == record.current.login() != login_of(former.get(DATABASE, ""))


def hurries(observed: Observed, old: Revision | None, new: Revision) -> bool:
    """Whether the new revision replaces a leaked secret and is otherwise what serves already."""
    same = old is not None and same_but_for_credentials(old.content, new.content)
    return same and replaces_leaked(observed, old, new)


def leaked_keys(observed: Observed) -> set[str]:
    """The API keys of which a person has said that they leaked."""
    marked = [revision for revision in observed.revisions.values() if revision.record.key_leaked]
    return {key for revision in marked if (key := observed.credentials(revision).get(API_KEY, ""))}

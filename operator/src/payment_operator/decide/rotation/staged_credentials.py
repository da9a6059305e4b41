"""Which credentials a revision may get now: the source Secrets' values, less what is not proven, plus what is rotated.

A changed API key counts once Stripe has said that it is good, or where a release with it runs already; until then the
one in use stands in its place, so that other changes are released with a key that works. An outage of Stripe's
refuses nothing. The database's login is the rotation's, once there is one.
"""

from typing import Final

from payment_operator.decide.placement import active_of
from payment_operator.model.key_proof import KeyCheck, KeySight
from payment_operator.model.observed import ClusterState, Observed
from payment_operator.resources.credentials import ADMIN_TOKEN, API_KEY, DATABASE, HOT, REPLICA, StagedCredentials
from payment_operator.resources.login import Login, login_of, with_login

DATABASE_URLS = (DATABASE, REPLICA)
UNREADABLE: Final = "the Secrets that the spec names cannot be read; mend them first"
"""Why nothing is rotated while what stands in the source Secrets is not known."""


def in_use(observed: ClusterState) -> dict[str, str]:
    """The credentials of the active revision, as settings; empty when there is none or its Secret is gone."""
    found = observed.credentials(active_of(observed))
    return {name: value for name, value in found.items() if name != ADMIN_TOKEN}


def keys_in_use(observed: ClusterState) -> set[str]:
    """API keys that need no proof: those of the active revision and of releases that run."""
    running = [r for r in observed.revisions.values() if r.record.state == "Releasing"]
    found = (observed.credentials(revision).get(API_KEY, "") for revision in [active_of(observed), *running])
    return {key for key in found if key}


def staged_of(observed: Observed) -> StagedCredentials:
    """The credentials that may be released now."""
    return stage(observed, observed.api_key)


def stage(observed: ClusterState, key: KeySight) -> StagedCredentials:
    """The credentials that may be released now, by what is known of the API key in the source Secret."""
    sources, check = observed.sources, key.check
    if not sources.usable:
        return StagedCredentials(sources.values, sources.problems)
    live = in_use(observed)
    refused = _refused(observed, check)
    if refused and not live.get(API_KEY):
        return StagedCredentials(_with_login(observed, sources.values), refused, refused)
    values = sources.values
    if live.get(API_KEY) and not _proven(observed, check):
        values = values | {API_KEY: live[API_KEY]}
    staged = StagedCredentials(_with_login(observed, values), refused=refused)
    if live and not key.settled and not _exists(observed, staged):
        hot = {name: value for name, value in staged.values.items() if name in HOT}
        return StagedCredentials(live | hot, refused=refused)
    return staged


def _exists(observed: ClusterState, staged: StagedCredentials) -> bool:
    """Whether a revision with these credentials is there: what has begun waits for nothing."""
    return any(revision.credentials == staged.digest for revision in observed.revisions.values())


def _proven(observed: ClusterState, check: KeyCheck | None) -> bool:
    """Whether the API key in the source Secret is in use, or Stripe takes it."""
    in_use_already = observed.sources.values[API_KEY] in keys_in_use(observed)
    return in_use_already or (check is not None and check.state == "Valid")


def _refused(observed: ClusterState, check: KeyCheck | None) -> tuple[str, ...]:
    """What is not taken from the source Secrets, with the reason."""
    if check is None or check.state != "Refused" or _proven(observed, check):
        return ()
    return (f"{API_KEY}: {check.message}",)


def _with_login(observed: ClusterState, values: dict[str, str]) -> dict[str, str]:
    """The values with the database's login that the rotation has made."""
    login = current_login(observed)
    if login is None:
        return values
    own = login_of(values[DATABASE])
    roles = {own.role, *observed.spec.database.rotation.roles}
    urls = {name: values[name] for name in DATABASE_URLS if name in values}
    return values | {name: with_login(url, login) for name, url in urls.items() if login_of(url).role in roles}


def current_login(observed: ClusterState) -> Login | None:
    """The login that the rotation has made; None before the first. Without a record the active revision tells it."""
    rotation = observed.spec.database.rotation
    if rotation.mode != "AlternatingRoles":
        return None
    if (record := observed.role_rotation) is not None:
        return record.current.login() if record.current else None
    login = login_of(in_use(observed).get(DATABASE, ""))
    return login if login.role in rotation.roles else None


def group_of(observed: Observed) -> str:
    """The role whose rights the alternating ones inherit; empty without rotation."""
    rotation = observed.spec.database.rotation
    if rotation.mode != "AlternatingRoles":
        return ""
    return rotation.group_role or login_of(observed.sources.values.get(DATABASE, "")).role


def checked(observed: Observed) -> KeyCheck | None:
    """The verdict on the API key in the source Secret, while it is not in use."""
    return None if observed.sources.values.get(API_KEY) in keys_in_use(observed) else observed.api_key.check

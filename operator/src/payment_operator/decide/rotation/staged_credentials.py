"""Which credentials a revision may get now: the source Secrets' values, less what is not proven, plus what is rotated.

A changed API key counts once Stripe has said that it is good, or where a release with it runs already; until then the
one in use stands in its place, so that other changes are released with a key that works. An outage of Stripe's
refuses nothing. The database's login is the rotation's, once there is one.
"""

from dataclasses import dataclass, field
from typing import Final

from payment_operator.decide.placement import active_of
from payment_operator.model.key_proof import KeyCheck, KeySight
from payment_operator.model.observed import ClusterState, Observed
from payment_operator.resources.credentials import ADMIN_TOKEN, API_KEY, DATABASE, HOT, REPLICA, StagedCredentials
from payment_operator.resources.login import Login, login_of, with_login

DATABASE_URLS = (DATABASE, REPLICA)
UNREADABLE: Final = "the Secrets that the spec names cannot be read; mend them first"
"""Why nothing is rotated while what stands in the source Secrets is not known."""


@dataclass(frozen=True)
class Keys:
    """The API keys of an environment."""

    source: str = field(repr=False)
    """In the user's Secret; empty when that cannot be read."""
    in_use: str = field(repr=False)
    """Of the active revision; empty when there is none or its Secret is gone."""
    source_is_used: bool
    """Whether the source's needs no proof: the active revision or a release that runs has it."""


def keys_of(observed: ClusterState) -> Keys:
    """The key in the user's Secret beside those that are in use."""
    active, source = active_of(observed), observed.sources.values.get(API_KEY, "")
    releasing = [r for r in observed.revisions.values() if r.record.state == "Releasing"]
    used, *others = (observed.credentials(revision).get(API_KEY, "") for revision in (active, *releasing))
    return Keys(source, used, source != "" and source in (used, *others))


def in_use(observed: ClusterState) -> dict[str, str]:
    """The credentials of the active revision, as settings; empty when there is none or its Secret is gone."""
    active = active_of(observed)
    return {name: value for name, value in observed.credentials(active).items() if name != ADMIN_TOKEN}


def staged_of(observed: Observed) -> StagedCredentials:
    """The credentials that may be released now."""
    return stage(observed, observed.api_key)


def stage(observed: ClusterState, sight: KeySight) -> StagedCredentials:
    """The credentials that may be released now, by what is known of the API key in the source Secret."""
    sources = observed.sources
    if not sources.usable:
        return StagedCredentials(sources.values, sources.problems)
    live, keys, check = in_use(observed), keys_of(observed), sight.check
    proven = keys.source_is_used or (check is not None and check.state == "Valid")
    refused = (f"{API_KEY}: {check.message}",) if not proven and check and check.state == "Refused" else ()
    if refused and not keys.in_use:
        return StagedCredentials(sources.values, refused, refused)
    values = sources.values if proven or not keys.in_use else sources.values | {API_KEY: keys.in_use}
    staged = StagedCredentials(_with_login(observed, values, live), refused=refused)
    if live and not sight.settled and not _exists(observed, staged):
        hot = {name: value for name, value in staged.values.items() if name in HOT}
        return StagedCredentials(live | hot, refused=refused)
    return staged


def _exists(observed: ClusterState, staged: StagedCredentials) -> bool:
    """Whether a revision with these credentials is there: what has begun waits for nothing."""
    return any(revision.credentials == staged.digest for revision in observed.revisions.values())


def _with_login(observed: ClusterState, values: dict[str, str], live: dict[str, str]) -> dict[str, str]:
    """The values with the database's login that the rotation has made."""
    login = _made_login(observed, live)
    if login is None:
        return values
    own = login_of(values[DATABASE])
    roles = {own.role, *observed.spec.database.rotation.roles}
    urls = {name: values[name] for name in DATABASE_URLS if name in values}
    return values | {name: with_login(url, login) for name, url in urls.items() if login_of(url).role in roles}


def current_login(observed: ClusterState) -> Login | None:
    """The login that the rotation has made; None before the first. Without a record the active revision tells it."""
    return _made_login(observed, in_use(observed))


def _made_login(observed: ClusterState, live: dict[str, str]) -> Login | None:
    rotation = observed.spec.database.rotation
    if rotation.mode != "AlternatingRoles":
        return None
    if (record := observed.role_rotation) is not None:
        return record.current.login() if record.current else None
    login = login_of(live.get(DATABASE, ""))
    return login if login.role in rotation.roles else None


def group_of(observed: Observed) -> str:
    """The role whose rights the alternating ones inherit; empty without rotation."""
    rotation = observed.spec.database.rotation
    if rotation.mode != "AlternatingRoles":
        return ""
    return rotation.group_role or login_of(observed.sources.values.get(DATABASE, "")).role


def checked(observed: Observed) -> KeyCheck | None:
    """The verdict on the API key in the source Secret, while it is not in use."""
    return None if keys_of(observed).source_is_used else observed.api_key.check

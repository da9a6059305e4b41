"""Which credentials a revision may get now: the source Secrets' values, less what is not proven, plus what is rotated.

A changed API key counts once Stripe has said that it is good, or where a release with it runs already; until then the
one in use stands in its place, so that other changes are released with a key that works. An outage of Stripe's
refuses nothing. The database's login is the rotation's, once there is one.
"""

from dataclasses import replace
from typing import Final

from payment_operator.decide.placement import active_of
from payment_operator.model.key_proof import KeyCheck
from payment_operator.model.observed import Observed
from payment_operator.resources.credentials import ADMIN_TOKEN, API_KEY, DATABASE, HOT, REPLICA, Sources
from payment_operator.resources.login import Login, login_of, with_login

DATABASE_URLS = (DATABASE, REPLICA)
UNREADABLE: Final = "the Secrets that the spec names cannot be read; mend them first"
"""Why nothing is rotated while what stands in the source Secrets is not known."""


def in_use(observed: Observed) -> dict[str, str]:
    """The credentials of the active revision, as settings; empty when there is none or its Secret is gone."""
    found = observed.credentials(active_of(observed))
    return {name: value for name, value in found.items() if name != ADMIN_TOKEN}


def keys_in_use(observed: Observed) -> set[str]:
    """API keys that need no proof: those of the active revision and of releases that run."""
    running = [r for r in observed.revisions.values() if r.record.state == "Releasing"]
    found = (observed.credentials(revision).get(API_KEY, "") for revision in [active_of(observed), *running])
    return {key for key in found if key}


def stage(observed: Observed) -> Observed:
    """The observation with the credentials that may be released now."""
    if not observed.sources.usable:
        return observed
    live = in_use(observed)
    staged = _database(observed, _api_key(observed, live.get(API_KEY, "")))
    if live and not observed.settled and not _exists(observed, staged):
        hot = {name: value for name, value in staged.values.items() if name in HOT}
        staged = replace(staged, values=live | hot)
    return replace(observed, sources=staged)


def _exists(observed: Observed, staged: Sources) -> bool:
    """Whether a revision with these credentials is there: what has begun waits for nothing."""
    return any(revision.credentials == staged.digest for revision in observed.revisions.values())


def _api_key(observed: Observed, live: str) -> Sources:
    sources, check = observed.sources, observed.key_check
    key = sources.values[API_KEY]
    if key in keys_in_use(observed) or (check is not None and check.state == "Valid"):
        return sources
    refused = (f"{API_KEY}: {check.message}",) if check is not None and check.state == "Refused" else ()
    if live:
        values = sources.values | {API_KEY: live}
        return replace(sources, values=values, refused=refused)
    return replace(sources, problems=refused, refused=refused)


def _database(observed: Observed, sources: Sources) -> Sources:
    login = current_login(observed)
    if login is None:
        return sources
    own = login_of(sources.values[DATABASE])
    roles = {own.role, *observed.spec.database.rotation.roles}
    urls = {name: sources.values[name] for name in DATABASE_URLS if name in sources.values}
    moved = {name: with_login(url, login) for name, url in urls.items() if login_of(url).role in roles}
    return replace(sources, values=sources.values | moved)


def current_login(observed: Observed) -> Login | None:
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
    return rotation.group_role or login_of(observed.sources.original.get(DATABASE, "")).role


def checked(observed: Observed) -> KeyCheck | None:
    """The verdict on the API key in the source Secret, while it is not in use."""
    return None if observed.sources.original.get(API_KEY) in keys_in_use(observed) else observed.key_check

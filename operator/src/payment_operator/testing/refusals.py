"""What the API server says to a write that it refuses."""

from typing import Final

from payment_operator.errors import Conflict, NotThere, Refused
from payment_operator.resources.metadata import Manifest
from payment_operator.testing.field_managers import Manager, Path, spelled
from payment_operator.testing.kinds import qualified, resource

Place = tuple[str, str, str]
"""Kind, namespace and name."""
UNPROCESSABLE: Final = 422
NEWER: Final = "the object has been modified; please apply your changes to the latest version and try again"


def not_there(place: Place) -> NotThere:
    """There is no such object."""
    return NotThere(404, "NotFound", f'{resource(place[0])} "{place[2]}" not found')


def already_there(place: Place) -> Conflict:
    """There is one."""
    return Conflict(409, "AlreadyExists", f'{resource(place[0])} "{place[2]}" already exists')


def invalid(place: Place, why: str) -> Refused:
    """What would be stored breaks a rule."""
    return Refused(UNPROCESSABLE, "Invalid", f'{qualified(place[0])} "{place[2]}" is invalid: {why}')


def conflict(place: Place, why: str) -> Conflict:
    """The write is about something else than what is stored."""
    return Conflict(409, "Conflict", f'Operation cannot be fulfilled on {resource(place[0])} "{place[2]}": {why}')


def precondition(place: Place, uid: str, there: str) -> Conflict:
    """A replace is about another object of the name."""
    return conflict(place, f"Precondition failed: UID in precondition: {uid}, UID in object meta: {there}")


def not_to_delete(place: Place, uid: str, there: str) -> Conflict:
    """A delete is about another object of the name."""
    why = (
        f"the UID in the precondition ({uid}) does not match the UID in record ({there}). The object might have been "
        f"deleted and then recreated"
    )
    return Conflict(409, "Conflict", f'Operation cannot be fulfilled on {qualified(place[0])} "{place[2]}": {why}')


def other_uid(place: Place, uid: str) -> Conflict:
    """A patch or an apply is about another object of the name."""
    words = invalid(place, f'metadata.uid: Invalid value: "{uid}": field is immutable').message
    return Conflict(UNPROCESSABLE, "Invalid", words)


def conflicting(lost: dict[Manager, list[Path]], live: Manifest) -> Conflict:
    """Fields that are applied are others'."""
    number = sum(map(len, lost.values()))
    if number == 1:
        ((manager, (path,)),) = lost.items()
        where = f"conflict with {_printed(manager, live)}: {spelled(path)}"
    else:
        lines = [
            "\n".join([f"conflicts with {_printed(manager, live)}:", *(f"- {spelled(path)}" for path in paths)])
            for manager, paths in sorted(lost.items())
        ]
        where = "\n".join(lines)
    return Conflict(409, "Conflict", f"Apply failed with {number} conflict{'s' * (number > 1)}: {where}")


def _printed(manager: Manager, live: Manifest) -> str:
    name = f'"{manager.name}"'
    return name if manager.verb == "Apply" else f"{name} using {live.get('apiVersion', '')}"

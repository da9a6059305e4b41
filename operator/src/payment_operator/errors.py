"""What can go wrong between the operator and the cluster, or the database."""

from typing import Final

TOO_MANY: Final = 429
"""What an overloaded API server answers: the same may be sent again, later."""


class OperatorError(Exception):
    """Base of the operator's errors; messages hold no secrets."""


class ApiError(OperatorError):
    """The API server answered with an error."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class NotThere(ApiError):
    """404."""


class Conflict(ApiError):
    """409, or 422 of a tested patch: the object is not what it was when it was read. Read again."""


class Refused(ApiError):
    """400, 403, 413 or 422: sending the same again does not help."""


class NameTaken(Refused):
    """An object of somebody else's has the name; it is left alone."""

    def __init__(self, message: str) -> None:
        super().__init__(409, "NameTaken", message)


class Unreachable(OperatorError):
    """No answer: whether a write was done is unknown."""


class DatabaseFault(OperatorError):
    """The database did not do what was asked of its roles; the message tells the fix where we know one."""


class Overdue(OperatorError):
    """A pass lasted too long and was ended."""

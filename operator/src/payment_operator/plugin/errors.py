"""What can go wrong, each with its exit code and its fix.

PluginError
├── WrongUsage      2
├── Refused         3
├── NotFound        4
├── NotPermitted    5
├── NoAnswer        6
└── Unreachable     7
"""

from typing import ClassVar


class PluginError(Exception):
    """The command did not do what was asked; ``fix`` is what to type or change next."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


class WrongUsage(PluginError):
    """The command line does not say enough, or says what cannot be."""

    exit_code = 2


class Refused(PluginError):
    """The operator, or the state of the release, does not allow it."""

    exit_code = 3


class NotFound(PluginError):
    """The cluster has no such thing."""

    exit_code = 4


class NotPermitted(PluginError):
    """The user lacks a rule."""

    exit_code = 5


class NoAnswer(PluginError):
    """Nothing happened in the time allowed."""

    exit_code = 6


class Unreachable(PluginError):
    """Kubectl is missing, or no API server answers."""

    exit_code = 7

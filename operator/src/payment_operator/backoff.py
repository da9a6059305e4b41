"""When what has failed is tried again: waits double up to a longest one, however often it fails."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

FIRST_SECONDS: Final = 2.0
LONGEST_SECONDS: Final = 60.0
_DOUBLINGS: Final = 30
"""More change nothing any more, and 2.0 ** 1024 is no float."""


def wait_after(failures: int, *, first: float, longest: float) -> float:
    """Seconds to wait after so many failures in a row before the present one."""
    return float(min(longest, first * 2.0 ** min(failures, _DOUBLINGS)))


@dataclass(frozen=True)
class Fault:
    """Work outside of Kubernetes that failed."""

    message: str
    again_at: datetime


@dataclass
class Backoff:
    """The faults in a row of one kind of work; all of it can be lost."""

    fault: Fault | None = None
    faults: int = 0

    def failed(self, message: str, *, now: datetime) -> float:
        """Remember a fault; return after how many seconds to try again."""
        seconds = wait_after(self.faults, first=FIRST_SECONDS, longest=LONGEST_SECONDS)
        self.faults += 1
        self.fault = Fault(message, now + timedelta(seconds=seconds))
        return seconds

    def done(self) -> None:
        """Forget former faults."""
        self.fault, self.faults = None, 0

"""Writes that failed, and when each is tried again: waits double up to a longest one, and all of it can be lost.

A write is held back by what it writes: another one to the same object (the way back instead of the switch) is tried at
once, and so is everything once a person says `retry`. Passes go on meanwhile, so what serves is looked after.
"""

import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from payment_operator.backoff import wait_after
from payment_operator.errors import TOO_MANY, ApiError, Refused
from payment_operator.model.actions import Action, Apply, Create, Delete, Patch, key_of
from payment_operator.model.observed import Key

FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 30.0
"""Of what may pass by itself."""
LONGEST_REFUSED_SECONDS: Final = 300.0
"""Of what the API server does not take, as the kubelet's ceiling for images and containers."""
_MOMENTS: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


@dataclass
class Hold:
    """A write that failed."""

    error: Exception
    again_at: datetime
    pause: float = 0.0
    failures: int = 1


@dataclass
class Holds:
    """The writes of one environment that are held back, by what they write."""

    found: dict[str, Hold] = field(default_factory=dict)

    def held(self, write: str, *, now: datetime) -> Hold | None:
        """The write's last failure, as long as it is not to be tried again."""
        hold = self.found.get(write)
        return hold if hold is not None and now < hold.again_at else None

    def failed(self, write: str, error: Exception, *, now: datetime) -> Hold:
        """Hold a write back, longer each time."""
        failures = self.found[write].failures + 1 if write in self.found else 1
        refused = isinstance(error, Refused) or (isinstance(error, ApiError) and error.status == TOO_MANY)
        longest = LONGEST_REFUSED_SECONDS if refused else LONGEST_SECONDS
        pause = wait_after(failures - 1, first=FIRST_SECONDS, longest=longest)
        self.found[write] = Hold(error, now + timedelta(seconds=pause), pause, failures)
        return self.found[write]

    def done(self, write: str) -> None:
        """Forget a write that has succeeded."""
        self.found.pop(write, None)

    def tidy(self, *, now: datetime) -> None:
        """Forget what nobody has asked for since it was to be tried again."""
        left = timedelta(seconds=LONGEST_REFUSED_SECONDS)
        self.found = {write: hold for write, hold in self.found.items() if now < hold.again_at + left}


def write_of(action: Action) -> str:
    """What an action writes, but for moments and the versions that it tests; what is made is told by its name."""
    match action:
        case Apply(manifest):
            content: object = manifest
        case Patch(_, _, operations):
            content = [operation for operation in operations if operation["op"] != "test"]
        case _:
            content = ""
    text = json.dumps(content, sort_keys=True)
    return f"{type(action).__name__} {'/'.join(target(action))} {hash(_MOMENTS.sub('', text))}"


def target(action: Action) -> Key:
    """The object that an action writes; of work elsewhere, the one that records it."""
    match action:
        case Apply(manifest) | Create(manifest):
            return key_of(manifest)
        case Patch(kind, name) | Delete(kind, name):
            return kind, name
    then = getattr(action, "then", None)
    return target(then) if then is not None else (type(action).__name__, "")

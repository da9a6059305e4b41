"""Writes what a batch of events shows, the events of each kind of object together."""

from __future__ import annotations

from itertools import groupby, takewhile
from typing import TYPE_CHECKING, NamedTuple

from payment_service.events.snapshots import kind_of, moment_of
from payment_service.mirror.batch import Written, write_batch, write_changes
from payment_service.mirror.kind import Told
from payment_service.storage.mirror import Provenance

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.events.schemas import InboxEvent
    from payment_service.mirror.kind import Kind


class Sorted(NamedTuple):
    """What became of events."""

    applied: list[InboxEvent]
    ignored: list[InboxEvent]
    doubtful: list[InboxEvent]
    """What they show may be older than the row, or is no state at all."""


async def write_snapshots(connection: AsyncConnection, events: list[InboxEvent], *, now: datetime) -> Sorted:
    """Write what events show: those of each kind together, in the order of kinds."""
    found = Sorted([], [], [])
    changes: list[dict[str, object]] = []
    for kind, of_kind in groupby(events, key=kind_of):
        if kind is None:  # kept as of no kind of ours, and armed by a person or a version that knows it
            found.ignored.extend(of_kind)
            continue
        bursts = {object_id: list(burst) for object_id, burst in groupby(of_kind, key=lambda event: event.object_id)}
        told = {object_id: shown for object_id, burst in bursts.items() if (shown := _shown_by(kind, burst, now=now))}
        written = await write_batch(connection, kind, told) if told else Written({}, [])
        changes += written.changes
        for object_id, burst in bursts.items():
            taken = written.taken.get(object_id, 0)
            found.applied.extend(burst[:taken])
            found.doubtful.extend(burst[taken:])
    await write_changes(connection, changes)
    return found


def _shown_by(kind: Kind, burst: list[InboxEvent], *, now: datetime) -> list[Told]:
    """Return what the events of an object show, up to the first that shows none."""
    shown = takewhile(lambda event: not event.thin, burst)
    return [
        Told(
            event.object,
            event.shape or kind.shape_of(event.object),
            Provenance(event.id, event.stripe_created, now, moment=moment_of(event)),
        )
        for event in shown
    ]

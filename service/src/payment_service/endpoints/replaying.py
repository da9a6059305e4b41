"""Lets the next events of a replay wait, a few at a time, for whoever holds the endpoint.

Where the replay has looked, and what it has waiting, commit together, under the holder's lease, as what is new does:
whoever takes the endpoint over after a crash goes on there. What is sent again never stands before what is new: it
waits behind that of its object, and gets the attempts that what is new leaves (`holding`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from payment_service.endpoints import replay_store
from payment_service.endpoints.reading import read_again

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.endpoints.rows import EndpointRow
    from payment_service.endpoints.supply import Tools

AT_ONCE: Final = 4
"""Attempts of a replay among those of an endpoint; the others are kept for what is new."""
PAGES: Final = 3
"""Parts of the feed that are looked at, one after the other, while none has anything that is wanted."""


class Renew(Protocol):
    """Prolongs the holder's lease in a transaction and changes the endpoint; raises `LeaseLost`."""

    async def __call__(self, connection: AsyncConnection, values: Mapping[str, object], /) -> EndpointRow:
        """Return the endpoint as it is then."""


async def look_back(tools: Tools, row: EndpointRow, *, renew: Renew) -> bool:
    """Let the next events of the endpoint's replay wait, or end it; tell whether any may have begun to wait.

    Raises:
        LeaseLost: nothing was written since.
    """
    for _ in range(PAGES):
        async with tools.turn, tools.database.read() as connection:
            replay = await replay_store.running(connection, row.id)
            waiting = 0 if replay is None else await replay_store.waiting(connection, replay.id)
            if replay is None or waiting >= replay_store.WAITING:
                return False
            looked = replay.reached >= replay.last_sequence
            if looked and waiting:
                return False
            reached, wanted = await read_again(connection, tools.feed, row, replay)
        now = tools.clock.now()
        async with tools.turn, tools.database.transaction() as connection:
            await renew(connection, {"due_at": now})  # for whoever takes over, should this worker be killed
            if looked:
                await replay_store.end(connection, replay.id, state="done", now=now)
                return False
            if not await replay_store.advance(connection, replay, reached=reached):
                return False
            await replay_store.send_again(connection, wanted, replay=replay, now=now)
        if wanted:
            return True
    return False

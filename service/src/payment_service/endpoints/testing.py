"""How many test events may wait for one endpoint: who asks for them often keeps no event of the feed waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from payment_service.endpoints import queue
from payment_service.endpoints.errors import TooManyTests

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

TEST: Final = "webhook_endpoint.test"
"""The type of an event that says nothing."""
MAXIMUM_TESTS: Final = 10


async def check_room(connection: AsyncConnection, endpoint_id: str) -> None:
    """Hold an endpoint, which the caller has locked, to the number of test events that may wait for it.

    Raises:
        TooManyTests: one more would be too many.
    """
    if await queue.waiting_tests(connection, endpoint_id) >= MAXIMUM_TESTS:
        fix = "let a worker send them, or skip some of them"
        raise TooManyTests(f"{MAXIMUM_TESTS} test events wait for {endpoint_id} already: {fix}")

"""A few kills while webhooks are sent; `make soak ONLY=deliveries` has fifty."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from tests.soak.deliveries import Kill, Noted, disordered, lost, repeats, siege

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.postgres import PostgresServer

KILLS = 3
"""One of each worker, and of PostgreSQL."""


@pytest.mark.timeout(600)
async def test_kills_lose_no_delivery_and_keep_the_order_of_each_object(
    own_postgres_server: PostgresServer, durable_url: str, tmp_path: Path
) -> None:
    async with siege(own_postgres_server, durable_url, tmp_path, seed_of_chance=random.randrange(2**32)) as running:
        await running.rage(KILLS)
        books = await running.books()
    print(books)  # noqa: T201 - the numbers that the kills are for
    assert {name: found for name, found in books.items() if isinstance(found, list) and found} == {}
    assert books["events"] > KILLS
    assert books["deliveries taken"] >= 3 * books["events"]


def noted(text: str) -> list[Noted]:
    """Read what happened, a second after the other: `1` has come, `1+` is taken."""
    return [
        Noted(float(at), taken=one.endswith("+"), sequence=int(one.rstrip("+"))) for at, one in enumerate(text.split())
    ]


def test_the_books_find_what_is_wrong() -> None:
    order = {"one": [1, 3], "two": [2]}
    right = noted("1 2 1+ 3 2+ 3+")
    assert (lost(right, order), disordered(right, order), repeats(right)) == ([], [], [])
    assert lost(noted("1 1+ 2 2+ 3"), order) == [3]
    assert disordered(noted("1 2 2+ 3 1+ 3+"), order) == ["3 of one came before 1 was taken"]
    (again,) = repeats(noted("1 1+ 2 1 2+"))
    assert (again.sequence, again.taken, again.came) == (1, 1.0, 3.0)
    assert again.follows([Kill(2.0, 2.5)])
    assert not again.follows([Kill(4.0, 5.0)])
    assert not again._replace(taken=9.0, came=9.5).follows([Kill(2.0, 2.5)])

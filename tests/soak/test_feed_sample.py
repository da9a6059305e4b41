"""Two thousand commits in the feed; `make soak ONLY=feed` has a million."""

from __future__ import annotations

from tests.soak.feed import Trial

COMMITS = 2_000


async def test_readers_see_every_commit_once_and_in_one_order(migrated_url: str) -> None:
    books = await Trial(migrated_url, commits=COMMITS, longest=1.5).run()
    assert books.faults() == []
    assert len(books.committed) >= COMMITS
    assert books.rolled_back
    assert books.restarts

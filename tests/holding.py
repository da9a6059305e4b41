"""Checks a property against servers that all its examples share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from hypothesis import HealthCheck, Phase, given, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

    from hypothesis.strategies import SearchStrategy

Servers = TypeVar("Servers")


def patience(examples: int) -> int:
    """Return the seconds after which so many examples count as hanging, on a machine with much else to do."""
    return max(900, 30 * examples)


def hold(
    opened: AbstractAsyncContextManager[Servers],
    law: Callable[..., Coroutine[Any, Any, None]],
    *,
    examples: int,
    **drawn_from: SearchStrategy[Any],
) -> None:
    """Call `law` with the servers and what is drawn, `examples` times in one event loop.

    A failing example is not made smaller: each takes a second or more.
    """
    with asyncio.Runner() as runner:
        servers = runner.run(opened.__aenter__())
        try:

            @settings(
                max_examples=examples,
                deadline=None,
                phases=[Phase.explicit, Phase.reuse, Phase.generate],
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            )
            @given(**drawn_from)
            def holds(**drawn: Any) -> None:
                runner.run(law(servers, **drawn))

            holds()
        finally:
            runner.run(opened.__aexit__(None, None, None))

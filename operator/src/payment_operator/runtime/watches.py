"""The thread that watches. Kopf's end, whatever it ended of, is the end of its loop only, and it is begun again.

Kopf ends with an exception at a line that is no JSON, an error in a stream and a refused login, and then cancels every
task of its loop: in the operator's own loop that would be the passes, too. Some of its tasks outlive that, so it is not
waited for; and a watch whose task has ended without a word is begun again with the others.
"""

import asyncio
import logging
import threading
from collections.abc import Collection
from contextlib import suppress
from functools import partial
from typing import Any, Final

from payment_operator.redaction import redact
from payment_operator.runtime import handlers
from payment_operator.runtime.pulse import Pace, Pulse

JOIN_SECONDS: Final = 5.0
ABANDON_SECONDS: Final = 0.1
ABANDON_ATTEMPTS: Final = 30
log = logging.getLogger("payment_operator.runtime.watches")


class Watches:
    """Watches environments and what belongs to them; calls back in the loop that it was begun in."""

    def __init__(
        self,
        *,
        changed: handlers.Changed,
        deleted: handlers.Deleted,
        seen: handlers.Seen,
        namespaces: Collection[str] = (),
        kubeconfig: str = "",
        pace: Pace | None = None,
    ) -> None:
        self._calls: dict[str, Any] = {"changed": changed, "deleted": deleted, "seen": seen}
        self._namespaces, self._kubeconfig = namespaces, kubeconfig
        optional = handlers.optional_paths(namespaces)
        self.pulse = Pulse(handlers.paths(namespaces), pace or Pace(), optional=optional)
        self._stopped = threading.Event()
        self._kopf: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        calls = {name: partial(loop.call_soon_threadsafe, call) for name, call in self._calls.items()}
        thread = threading.Thread(target=self._serve, args=(calls,), name="watches", daemon=True)
        self.pulse.begin()
        thread.start()
        try:
            await self._heal()
        finally:
            self._stopped.set()
            self._stop()
            await asyncio.to_thread(thread.join, JOIN_SECONDS)

    async def _heal(self) -> None:
        """Begin again what is dead, whatever keeps it so."""
        pace, begun = self.pulse.pace, 0.0
        while True:
            await asyncio.sleep(pace.rest)
            begun += pace.rest
            if begun >= pace.noticed and self.pulse.problems():
                self._stop()
                begun = 0.0

    def _stop(self) -> None:
        if self._kopf is not None:
            loop, stop = self._kopf
            with suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(stop.set)

    def _serve(self, calls: dict[str, Any]) -> None:
        while not self._stopped.is_set():
            loop = asyncio.new_event_loop()
            try:
                loop.run_until_complete(self._watch(calls))
                words = "one that was dead"
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever it was, they begin again
                words = f"{type(error).__name__}: {error}"
            _abandon(loop)
            if not self._stopped.is_set():
                log.warning("the watches begin again after %s", redact(words))
                self.pulse.fell(words)
                self._stopped.wait(self.pulse.pace.rest)

    async def _watch(self, calls: dict[str, Any]) -> None:
        stop = asyncio.Event()
        self._kopf = (asyncio.get_running_loop(), stop)
        if self._stopped.is_set():
            return
        registry = handlers.registry(**calls, pulse=self.pulse, kubeconfig=self._kubeconfig)
        await handlers.watch(registry, namespaces=self._namespaces, pace=self.pulse.pace, stop=stop)


def _abandon(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left until it ends, for a moment and no more: Kopf's tasks survive being cancelled once."""
    for _ in range(ABANDON_ATTEMPTS):
        left = asyncio.all_tasks(loop)
        if not left:
            break
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.wait(left, timeout=ABANDON_SECONDS))
    loop.set_exception_handler(lambda *_: None)  # of what is pending all the same
    loop.run_until_complete(asyncio.wait([loop.create_task(loop.shutdown_asyncgens())], timeout=ABANDON_SECONDS))
    loop.run_until_complete(asyncio.sleep(ABANDON_SECONDS))  # for connections that close
    loop.close()

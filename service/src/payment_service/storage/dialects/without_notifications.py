"""What databases have that tell nobody of a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Executable

    from payment_service.config.secrets import Secret
    from payment_service.config.settings import DatabaseSettings
    from payment_service.storage.dialects.interface import Subscription


class WithoutNotifications:
    """Refuses both ends of a channel: `notifies` is false, and who asks all the same is wrong."""

    def notification(self, channel: str) -> Executable:
        """Nobody can subscribe."""
        raise NotImplementedError(channel)

    async def subscribe(
        self, url: Secret, *, settings: DatabaseSettings, wakes: Mapping[str, Callable[[], None]]
    ) -> Subscription:
        """There is nobody who could tell."""
        raise NotImplementedError(", ".join(wakes))

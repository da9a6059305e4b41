"""Who calls: in development anybody; in production the holder of an API key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from payment_service.errors import Unauthorized

if TYPE_CHECKING:
    from payment_service.settings import Settings

ANONYMOUS: Final = "anonymous"


class Access:
    """Tells the principal of a request: a name that survives the rotation of its API key."""

    def __init__(self, settings: Settings) -> None:
        self._production = settings.production

    async def principal(self, authorization: str | None) -> str:
        """Return the principal.

        Raises:
            Unauthorized: production, and no valid key.
        """
        _ = authorization
        if self._production:
            raise Unauthorized("Send an API key: Authorization: Bearer lp_…")
        return ANONYMOUS

"""A proxy between the operator and Stripe that cuts the operator off at its k-th write, as the one to the API server.

The operator takes it from HTTP_PROXY, so the environment's own address of Stripe stays, and its pods go there directly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
from tests.cluster.proxy import requests
from tests.cluster.proxy.server import CuttingProxy

if TYPE_CHECKING:
    from aiohttp import web
    from yarl import URL


class StripeProxy(CuttingProxy):
    """A forward proxy for plain HTTP."""

    async def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False)

    def _target(self, request: web.Request) -> URL:
        return request.url

    def _is_write(self, request: web.Request) -> bool:
        return request.method in requests.WRITES

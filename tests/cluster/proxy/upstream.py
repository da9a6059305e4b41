"""The API server of a kubeconfig: its address, and a session that is trusted by it and trusts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client.rest import RESTClientObject

if TYPE_CHECKING:
    from pathlib import Path


async def connect(kubeconfig: Path) -> tuple[str, aiohttp.ClientSession]:
    """Return the server's address and a session with the kubeconfig's credentials in it; the caller closes it."""
    found = client.Configuration()
    await config.load_kube_config(  # type: ignore[no-untyped-call]
        config_file=str(kubeconfig), client_configuration=found
    )
    found.disable_strict_ssl_verification = True  # as Go's clients: not every cluster's authority states its key usage
    token = await found.get_api_key_with_prefix("BearerToken")
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=RESTClientObject(found).ssl_context, limit=0),
        headers={"Authorization": token} if token else {},
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),  # the client's are sent, or none
    )
    return found.host.rstrip("/"), session

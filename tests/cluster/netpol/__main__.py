"""Enforce NetworkPolicies on this machine's node: python -m tests.cluster.netpol KUBECONFIG."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.cluster.netpol.engine import serve

if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))

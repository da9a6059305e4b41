"""What `helm test` runs in Stripe's test mode, beside the service, on the databases of production."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.servers.stack import Stack

SCRIPT = Path(__file__).parents[2] / "chart" / "files" / "roundtrip.py"


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
async def test_the_round_trip_buys_is_told_and_cancels(stack: Stack, database_url: str, tmp_path: Path) -> None:
    settings = stack.parts.settings
    secrets = {
        "DATABASE_URL": database_url,
        "STRIPE_SECRET_KEY": settings.stripe.secret_key.reveal(),
        "STRIPE_WEBHOOK_SECRET": settings.stripe.webhook_secret.reveal(),
        "SECRET_KEY": settings.secret_key.reveal(),
    }
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ENVIRONMENT": "development",
        "API_URL": str(stack.client.base_url).rstrip("/"),
        "STRIPE_API_BASE": settings.stripe.api_base,
    }
    for name, value in secrets.items():
        (tmp_path / name).write_text(value)
        environ[f"{name}_FILE"] = str(tmp_path / name)
    command = [sys.executable, "-c", SCRIPT.read_text()]
    done = await asyncio.to_thread(
        subprocess.run, command, check=False, capture_output=True, text=True, env=environ, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "applied, the row says active" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("ok   revoked API key lpk_")

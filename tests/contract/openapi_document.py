"""The OpenAPI document of the API, as text that is checked in under docs/openapi.json."""

from __future__ import annotations

import json
import sys

from payment_service.bootstrap import build, services
from payment_service.config.settings import Settings
from payment_service.document import completed
from payment_service.http_api import create_api


def document() -> str:
    """Return the document, indented, members in the order of the code."""
    parts = build(Settings.from_env({"DATABASE_URL": "sqlite:///never-opened.sqlite3"}))
    api = create_api(parts.settings, services=services(parts), admission=lambda app: app)
    drawn = completed(api.openapi_schema.to_schema(), api=api)
    return json.dumps(drawn, indent=2, sort_keys=True, default=str) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())

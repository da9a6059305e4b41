"""The history that this image carries, read from the migration files without touching a database."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration file."""

    number: int
    revision: str
    phase: str
    oldest_application: int
    summary: str
    mysql: tuple[str, ...] | None = None
    """What it does on MariaDB beside adding what `tables` describes; each can be repeated. None: it does not say."""


def alembic_config() -> Config:
    """Return alembic's configuration for this package's history."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "os")
    return config


@cache
def history() -> tuple[Migration, ...]:
    """Return all migrations, oldest first."""
    scripts = list(ScriptDirectory.from_config(alembic_config()).walk_revisions())
    return tuple(
        Migration(
            number=script.module.schema_number,
            revision=script.revision,
            phase=script.module.phase,
            oldest_application=script.module.oldest_application,
            summary=script.doc,
            mysql=getattr(script.module, "mysql", None),
        )
        for script in reversed(scripts)
    )

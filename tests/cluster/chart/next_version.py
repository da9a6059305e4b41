"""An image of the service with further migrations; the expand ones fail at their end as long as a row says so."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.cluster.images import store
from tests.cluster.images.recipes import recipes

if TYPE_CHECKING:
    from pathlib import Path

REFUSE = "INSERT INTO cursors (name, value, updated_at) VALUES ('refuse', '{}', now())"
ALLOW = "DELETE FROM cursors WHERE name = 'refuse'"
_MIGRATION = '''"""A column that only the next version knows."""

import sqlalchemy as sa
from alembic import op

revision = "{number:04}_next"
down_revision = "{down}"
branch_labels = None
depends_on = None

phase = "{phase}"
schema_number = {number}
oldest_application = {oldest}


def upgrade() -> None:
    """Apply."""
    {change}
'''
_REFUSED = "EXISTS (SELECT 1 FROM cursors WHERE name = 'refuse')"
_REFUSABLE = f'\n    op.execute("SELECT 1 / (CASE WHEN {_REFUSED} THEN 0 ELSE 1 END)")'
ADDITIVE = 'op.add_column("customers", sa.Column("note_of_next", sa.Text(), nullable=True))'
_CONTRACT = 'op.drop_column("customers", "note_of_next")'


def image(folder: Path, *changes: str, name: str = "payments-service-next", contract: bool = False) -> str:
    """Build the service with further expand migrations, bring it to the cluster and return its name.

    Args:
        folder: an empty one.
        changes: the body of each migration; left out: one that adds a column.
        name: of the image.
        contract: whether a contract migration follows, one that the present version tolerates.
    """
    recipe = recipes()["service"]
    source = folder / "src"
    shutil.copytree(recipe.parts["service/src"], source, ignore=shutil.ignore_patterns("__pycache__"))
    migrations = source / "payment_service" / "migrations"
    for change in changes or (ADDITIVE,):
        required = application = _add(migrations / "versions", change + _REFUSABLE, phase="expand")
    if contract:
        application = _add(migrations / "versions", _CONTRACT, phase="contract")
    support = migrations / "support.py"
    text = support.read_text()
    for constant, number in (("APPLICATION", application), ("REQUIRED", required)):
        text = re.sub(rf"^({constant}_SCHEMA: Final) = \d+", rf"\1 = {number}", text, flags=re.MULTILINE)
    support.write_text(text)
    return store.deliver(replace(recipe, name=name, parts=dict(recipe.parts) | {"service/src": source}))


def _add(versions: Path, change: str, *, phase: str) -> int:
    """Write the next migration and return its number."""
    newest = max(versions.glob("[0-9]*.py"))
    number = int(newest.name[:4]) + 1
    oldest = re.findall(r"^oldest_application = (\d+)", newest.read_text(), re.MULTILINE)[0]
    down = re.findall(r'^revision = "(.+)"', newest.read_text(), re.MULTILINE)[0]
    content = _MIGRATION.format(number=number, down=down, oldest=oldest, change=change, phase=phase)
    (versions / f"{number:04}_next.py").write_text(content)
    return number

"""Packs ``payment_operator.plugin`` into one executable file: ``python operator/packaging/single_file.py dist``.

The same sources give the same bytes: entries are sorted and carry no time.
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Final

from payment_operator.api.crd import crd_manifest
from payment_operator.plugin.completion import SCRIPTS
from payment_operator.plugin.lint.schema import PACKED

SOURCES: Final = Path(__file__).parents[1] / "src"
SHEBANG: Final = b"#!/usr/bin/env python3\n"
NAME: Final = "kubectl-payments"
COMPLETION: Final = "kubectl_complete-payments"

ALONE: Final = (
    "__init__.py",
    "names.py",
    "card_numbers.py",
    "mail_in_text.py",
    "printable.py",
    "redaction.py",
    "secret_patterns.py",
    "uncaught.py",
)
"""Modules beside the plugin's package."""

# older interpreters must get as far as the message
MAIN: Final = """import sys

if sys.version_info < (3, 11):
    sys.exit("kubectl payments needs Python 3.11 or newer; this is " + sys.version.split()[0])

from payment_operator.plugin.cli import main

main()
"""


def contents() -> dict[str, str]:
    """Return the files inside, by name."""
    package = SOURCES / "payment_operator"
    modules = [*(package / name for name in ALONE), *(package / "plugin").rglob("*.py")]
    found = {str(path.relative_to(SOURCES)): path.read_text(encoding="utf-8") for path in modules}
    found["__main__.py"] = MAIN
    found[f"payment_operator/plugin/{PACKED}"] = json.dumps(crd_manifest(), separators=(",", ":"))
    return found


def build(folder: Path) -> Path:
    """Write the plugin and its completion into the folder and return the plugin's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    with path.open("wb") as file:
        file.write(SHEBANG)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in sorted(contents().items()):
                entry = zipfile.ZipInfo(name)
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, content)
    completion = folder / COMPLETION
    completion.write_text(SCRIPTS["kubectl"], encoding="utf-8")
    for made in (path, completion):
        made.chmod(0o755)
    return path


if __name__ == "__main__":
    sys.stdout.write(f"{build(Path(sys.argv[1]))}\n")

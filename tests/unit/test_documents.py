"""The README tells the truth about names."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_setting_of_the_readme_exists() -> None:
    code = (ROOT / "service/src/payment_service/settings.py").read_text()
    table = (ROOT / "README.md").read_text().split("## Settings")[1].split("## The way")[0]
    names = set(re.findall(r"`((?:PAYMENTS|STRIPE|DATABASE|REDIS|SECRET|ALLOWED|LOG)_[A-Z_]+|ENVIRONMENT)`", table))
    assert len(names) > 15
    assert {name for name in names if f'"{name}"' not in code} == set()


def test_every_local_link_of_the_documents_leads_somewhere() -> None:
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        (document.name, target)
        for document in documents
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text())
        if not (document.parent / target).exists()
    ]
    assert broken == []


def test_every_target_of_the_readme_exists() -> None:
    makefile = "\n".join(file.read_text() for file in (ROOT / "Makefile", *(ROOT / "tests").glob("*/*.mk")))
    targets = set(re.findall(r"(?:^|`|=\d+ )make ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)

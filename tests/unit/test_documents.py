"""The README tells the truth about names."""

from __future__ import annotations

import inspect
import re
import subprocess
from pathlib import Path

from stripe.params import _webhook_endpoint_create_params as stripe_knows

from payment_service.events.routes import PATH
from payment_service.mirror.registry import KINDS, event_types

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "chart").glob("*.md"), *(ROOT / "docs").rglob("*.md")]
FENCED = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)


def test_every_setting_of_the_readme_exists() -> None:
    sources = [file.read_text() for file in (ROOT / "service/src/payment_service").rglob("*.py")]
    code = "".join(source for source in sources if "EnvironmentReader" in source)
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


def test_the_page_about_webhooks_names_the_path_and_every_event_to_enable() -> None:
    page = (ROOT / "docs" / "webhooks.md").read_text()
    table = page.split("## The events")[1].split("\n## ")[0]
    named = [name for row in table.splitlines() if row.startswith("| `") for name in re.findall(r"`([^`]+)`", row)[1:]]
    assert sorted(named) == sorted(event_types())
    assert PATH in page
    assert PATH in (ROOT / "README.md").read_text()


def test_the_events_to_enable_are_all_of_what_is_mirrored() -> None:
    known = set(re.findall(r'"([a-z_]+\.[a-z_.]+)"', inspect.getsource(stripe_knows)))
    assert known >= set(event_types())
    others = ("customer.discount.", "customer.source.", "customer.tax_id.", "invoice.upcoming", "charge.refund.updated")
    kinds = tuple(f"{kind}." for kind in KINDS)
    assert {name for name in known if name.startswith(kinds) and not name.startswith(others)} == set(event_types())


def test_prose_has_lines_of_at_most_120_characters() -> None:
    """Rows of tables may be longer, for Markdown cannot break them; so may what stands in fences, to be copied whole.

    All else is held, generated pages and the chart's README included.
    """
    long = []
    for page in PAGES:
        prose = FENCED.sub(lambda block: "\n" * block[0].count("\n"), page.read_text("utf-8"))
        lines = [
            (number, line) for number, line in enumerate(prose.splitlines(), 1) if not line.lstrip().startswith("|")
        ]
        long += [f"{page.relative_to(ROOT)}:{number}" for number, line in lines if len(line) > 120]
    assert len(PAGES) > 60
    assert long == []


PARENTS = (
    *(".", "chart", "docs", "k8s", "operator", "tests"),
    *("operator/src/payment_operator", "service/src/payment_service", "simulator/src/stripe_simulator"),
)
"""Folders whose own folders the map names."""


def test_the_map_of_contributing_names_every_folder() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().split("## Where things are")[1].split("\n## ")[0]
    named = {name.strip("/") for name in re.findall(r"`([^`]+)`", table)} | {"src"}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    folders = {folder for path in listed.splitlines() for folder in Path(path).parents}
    assert not listed or len(folders) > 100  # an archive of the sources has no list
    assert (
        sorted(
            str(folder) for folder in folders - {Path()} if str(folder.parent) in PARENTS and folder.name not in named
        )
        == []
    )

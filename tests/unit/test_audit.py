"""The database of Go's reports that `make audit` makes where the public one cannot be reached, and what it reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.cluster.node import audit

if TYPE_CHECKING:
    from pathlib import Path


def report(name: str, *modules: str, modified: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    affected = [{"package": {"name": module}} for module in modules]
    return {"id": name, "modified": modified, "aliases": ["CVE-1"], "affected": affected}


def test_the_index_names_each_report_once_for_each_module() -> None:
    first = report("GO-1", "stdlib", "stdlib", "example.com/a")
    made = audit.index([first, report("GO-2", "stdlib", modified="2026-02-01T00:00:00Z")])
    assert made["db"] == {"modified": "2026-02-01T00:00:00Z"}
    assert {entry["path"]: [one["id"] for one in entry["vulns"]] for entry in made["modules"]} == {
        "example.com/a": ["GO-1"],
        "stdlib": ["GO-1", "GO-2"],
    }
    assert [entry["id"] for entry in made["vulns"]] == ["GO-1", "GO-2"]


def test_the_database_holds_each_report_and_nothing_else(tmp_path: Path) -> None:
    osv = tmp_path / "osv"
    osv.mkdir()
    (osv / "GO-1.json").write_text(json.dumps(report("GO-1", "stdlib")))
    (osv / "README.json").write_text("not a report")
    audit.write(osv, tmp_path / "made")
    assert json.loads((tmp_path / "made/ID/GO-1.json").read_bytes())["id"] == "GO-1"
    assert {path.name for path in (tmp_path / "made/index").iterdir()} == {"db.json", "modules.json", "vulns.json"}


def test_only_faults_whose_code_is_in_the_program_count() -> None:
    place = {"module": "stdlib", "version": "v1.26.8"}
    messages = [
        {"config": {"scanner_name": "govulncheck"}},
        {"finding": {"osv": "GO-1", "fixed_version": "v1.26.9", "trace": [place]}},
        {"finding": {"osv": "GO-2", "fixed_version": "v1.26.9", "trace": [{**place, "function": "Parse"}]}},
        {"finding": {"osv": "GO-3", "trace": [{**place, "function": "Parse"}]}},
    ]
    said = "\n".join(json.dumps(message, indent=2) for message in messages) + "\n"
    assert audit.faults(said) == {
        "GO-2 stdlib@v1.26.8, mended in v1.26.9",
        "GO-3 stdlib@v1.26.8, mended in no version",
    }

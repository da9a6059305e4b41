"""Runs govulncheck on the programs that `make cluster-tools` has built.

Its database is vuln.go.dev, or `VULNDB`, or where the first cannot be reached a copy in `.cache/vulndb`, made of the
newest golang.org/x/vulndb that Go's module proxy serves: the reports are the same, only their index is made here, as
go.dev/doc/security/vuln/database describes it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from tests.cluster.node import programs

SERVER: Final = "https://vuln.go.dev"
MODULE: Final = "golang.org/x/vulndb@latest"
CACHE: Final = Path(__file__).resolve().parents[3] / ".cache" / "vulndb"
REACH_SECONDS: Final = 10
SCANNER: Final = "golang.org/x/vuln/cmd/govulncheck@v1.9.0"


def reachable() -> bool:
    """Return whether the public database answers."""
    try:
        with urllib.request.urlopen(f"{SERVER}/index/db.json", timeout=REACH_SECONDS) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def downloaded() -> tuple[str, Path]:
    """Return version and folder of the newest module with the reports.

    Raises:
        subprocess.CalledProcessError: no module proxy serves it.
    """
    command = ["go", "mod", "download", "-json", MODULE]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd="/", text=True)
    found = json.loads(done.stdout)
    return found["Version"], Path(found["Dir"]) / "data" / "osv"


def index(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the three files by which govulncheck finds reports."""
    modules: defaultdict[str, dict[str, dict[str, str]]] = defaultdict(dict)
    for report in reports:
        for affected in report.get("affected", ()):
            entry = {"id": report["id"], "modified": report["modified"]}
            modules[affected["package"]["name"]][report["id"]] = entry
    return {
        "db": {"modified": max(report["modified"] for report in reports)},
        "modules": [{"path": path, "vulns": list(modules[path].values())} for path in sorted(modules)],
        "vulns": [
            {"id": report["id"], "modified": report["modified"], "aliases": report.get("aliases", [])}
            for report in reports
        ],
    }


def write(osv: Path, target: Path) -> None:
    """Make the database of a folder of reports; it is there whole, or not at all."""
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    reports = [json.loads(path.read_bytes()) for path in sorted(osv.glob("GO-*.json"))]
    files = {f"index/{name}.json": content for name, content in index(reports).items()}
    files |= {f"ID/{report['id']}.json": report for report in reports}
    for name, content in files.items():
        path = partial / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    partial.rename(target)


def address() -> str:
    """Return the address of the database."""
    if given := os.environ.get("VULNDB"):
        return given
    if reachable():
        return SERVER
    version, osv = downloaded()
    target = CACHE / version
    if not target.exists():
        write(osv, target)
    print(f"{SERVER} cannot be reached; reports of {version}", file=sys.stderr)  # noqa: T201 - a program
    return target.as_uri()


def main() -> None:
    """Scan each program that is built, and print what was found in which."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    built = sorted(path for name in programs.PROGRAMS if (path := programs.path(name)).exists())
    scanned = [path for path in built if path.read_bytes()[:4] == b"\x7fELF"]
    if not scanned:
        sys.exit("no program is built that could be looked at: `make cluster-tools` builds them")
    database = address()
    for path in scanned:
        command = ["go", "run", SCANNER, "-db", database, "-mode", "binary", "-format", "json", str(path)]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        for finding in faults(said):
            found[finding].append(path.name)
    for finding, names in sorted(found.items()):
        print(f"{finding}: {', '.join(names)}")  # noqa: T201 - a program
    print(f"{len(scanned)} programs of `make cluster-tools`, {len(found)} faults whose code is in one")  # noqa: T201


def faults(said: str) -> set[str]:
    """Return the faults with a symbol of theirs in the program, each with module and the version that mends it.

    The scanner prints one JSON object after another (pkg.go.dev/golang.org/x/vuln/internal/govulncheck#Message).
    """
    decoder, at, listed = json.JSONDecoder(), 0, set()
    while at < len(said.rstrip()):
        message, at = decoder.raw_decode(said, at)
        at += len(said[at:]) - len(said[at:].lstrip())
        finding = message.get("finding")
        if finding and "function" in finding["trace"][0]:
            where = finding["trace"][0]
            mended = finding.get("fixed_version", "no version")
            listed.add(f"{finding['osv']} {where['module']}@{where['version']}, mended in {mended}")
    return listed


if __name__ == "__main__":
    main()

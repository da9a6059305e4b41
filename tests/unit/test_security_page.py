"""docs/security.md is complete, and names tests that exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text()
ASVS = (ROOT / "tests/data/asvs-5.0.0-level-2.txt").read_text().split()
"""The numbers of all requirements of levels 1 and 2."""
SOURCES = [path for part in ("service", "operator") for path in sorted((ROOT / part / "src").rglob("*.py"))]
OTHER_HASHES = re.compile(
    r"\b(?:md[245]|sha_?(?:1|224|384|512)|sha3_\w+|shake_\w+|blake2\w|ripemd\d+)\b", re.IGNORECASE
)
MARIADB = ROOT / "operator/src/payment_operator/clients/mariadb.py"
"""Its logins' own form of a password is SHA-1 of SHA-1, see docs/security.md."""
OTHER_CRYPTOGRAPHY = re.compile(
    r"^\s*(?:import|from) (?:cryptography|Crypto|nacl|jose|jwt|passlib|bcrypt)\b", re.MULTILINE
)


def _number(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def covered(cell: str) -> list[str]:
    """Return the requirements that a row's first cell names: single ones, and ranges (`1.2.6 to 1.2.8`)."""
    found = []
    for part in cell.split(","):
        first, _, last = part.strip().partition(" to ")
        found += [name for name in ASVS if _number(first) <= _number(name) <= _number(last or first)]
    return found


def test_every_requirement_of_asvs_level_2_stands_in_one_row() -> None:
    rows = re.findall(r"^\| (\d[^|]*?) \|", PAGE.split("## ASVS")[1], re.MULTILINE)
    named = [name for cell in rows for name in covered(cell)]
    assert sorted(named, key=_number) == sorted(ASVS, key=_number)


def test_every_risk_of_the_top_10_stands_in_one_row() -> None:
    assert re.findall(r"^\| API(\d+) ", PAGE, re.MULTILINE) == [str(number) for number in range(1, 11)]


def test_every_test_that_a_row_names_exists() -> None:
    named = set(re.findall(r"`(tests/[\w/.-]+)`", PAGE))
    assert len(named) > 30
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_a_row_without_a_test_says_why() -> None:
    bare = re.findall(r"^\| ([\d., to]+) \| ([^|]+) \|  \|$", PAGE, re.MULTILINE)
    assert [row for row in bare if not row[1].startswith("not here: ") and len(row[1]) < 30] == []


def test_the_linters_rules_that_rows_rest_on_are_on() -> None:
    """No `eval` (S307), no SQL made of strings (S608: migrations have constants), no format of a log line (G)."""
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    off = {"pyproject.toml": lint["ignore"], **lint["per-file-ignores"]}
    found = {(place, rule) for place, rules in off.items() for rule in rules if rule in {"S", "S307", "S608", "G"}}
    assert lint["select"] == ["ALL"]
    migrations = "service/src/payment_service/migrations"
    assert found == {("tests/**", "S"), (f"{migrations}/versions/*", "S608"), (f"{migrations}/mysql_*", "S608")}
    noqa = re.compile(r"# noqa:[^#\n]*\b(?:S307|G\d{3})\b")
    assert [str(path) for path in SOURCES if noqa.search(path.read_text())] == []


def test_sha_256_of_the_standard_library_is_the_only_hash() -> None:
    found = {
        pattern: [path for path in SOURCES if pattern.search(path.read_text())]
        for pattern in (OTHER_HASHES, OTHER_CRYPTOGRAPHY)
    }
    assert found == {OTHER_HASHES: [MARIADB], OTHER_CRYPTOGRAPHY: []}

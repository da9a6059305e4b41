"""The workflows, and what they fetch: pinned by what it holds, with no more rights than each job needs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.node import programs

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))
PINNED = re.compile(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
ZIZMOR = str(Path(sys.executable).parent / "zizmor")
ACTIONLINT = programs.path("actionlint")
"""Built from Go's module proxy: the package of PyPI fetches a program from elsewhere while it is installed."""


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    """Return the jobs of a workflow."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())["jobs"]
    return found


def test_zizmor_finds_nothing() -> None:
    command = [ZIZMOR, "--offline", "--quiet", "--no-config", str(ROOT / ".github")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_sees_an_action_by_tag(tmp_path: Path) -> None:
    (tmp_path / ".github/workflows").mkdir(parents=True)
    text = "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{uses: actions/checkout@v4}]}}\n"
    (tmp_path / ".github/workflows/a.yaml").write_text(text)
    command = [ZIZMOR, "--offline", "--quiet", "--no-config", str(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


@pytest.mark.skipif(not ACTIONLINT.exists(), reason="actionlint is not built: make cluster-tools")
def test_actionlint_finds_nothing() -> None:
    done = subprocess.run([str(ACTIONLINT), *WORKFLOWS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_each_action_is_pinned_to_a_commit_with_its_version_beside_it() -> None:
    uses = [(path.name, line) for path in WORKFLOWS for line in re.findall(r"uses: (.+)", path.read_text())]
    assert uses
    assert [(name, line) for name, line in uses if not PINNED.fullmatch(line.strip())] == []


def test_rights_are_given_to_jobs_and_to_none_by_default() -> None:
    assert [path.name for path in WORKFLOWS if yaml.safe_load(path.read_text())["permissions"] != {}] == []
    given = [(path.name, name, job["permissions"]) for path in WORKFLOWS for name, job in jobs(path).items()]
    assert [job for job in given if not job[2]] == []


def test_what_is_released_is_signed_and_attested() -> None:
    for name, job in jobs(ROOT / ".github/workflows/release.yaml").items():
        steps = str(job["steps"])
        assert "cosign sign --yes" in steps, name
        assert "actions/attest-build-provenance@" in steps, name
    build = next(
        step for step in jobs(ROOT / ".github/workflows/release.yaml")["images"]["steps"] if "target" in str(step)
    )
    assert build["with"]["sbom"] is True
    assert build["with"]["provenance"] == "mode=max"


def test_nothing_that_is_fetched_runs_unseen() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    piped = re.compile(r"\b(?:curl|wget)\b[^\n]*\|\s*(?:sudo\s+)?(?:ba)?sh\b")
    texts = {name: (ROOT / name).read_text(errors="replace") for name in listed if (ROOT / name).is_file()}
    assert [name for name, text in texts.items() if "swagger-ui" not in name and piped.search(text)] == []


def test_uv_is_pinned_by_its_hashes() -> None:
    text = (ROOT / "scripts/uv.txt").read_text()
    assert re.search(r"^uv==\d+\.\d+\.\d+ \\$", text, re.MULTILINE)
    assert text.count("--hash=sha256:") > 10
    for name in ("scripts/bootstrap", "Dockerfile"):
        assert "--require-hashes" in (ROOT / name).read_text()


def test_the_dependency_bot_looks_at_all_that_is_pinned() -> None:
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    assert {entry["package-ecosystem"] for entry in updates} == {"uv", "pip", "gomod", "github-actions", "docker"}

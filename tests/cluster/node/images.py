"""Container images without a registry: made from programs alone, and loaded into the running node."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from typing import TYPE_CHECKING

from tests.cluster.node import programs
from tests.cluster.node.layout import PAUSE, Layout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def _add(archive: tarfile.TarFile, name: str, content: bytes, *, mode: int = 0o644) -> None:
    item = tarfile.TarInfo(name)
    item.size, item.mode = len(content), mode
    archive.addfile(item, io.BytesIO(content))


def scratch(target: Path, *, image: str, files: Mapping[str, Path], entrypoint: str, user: str = "65534") -> None:
    """Write a docker archive of an image that holds nothing but the given programs."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        for name, source in files.items():
            _add(archive, name.lstrip("/"), source.read_bytes(), mode=0o755)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [entrypoint], "User": user},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    encoded = json.dumps(config).encode()
    name = f"{hashlib.sha256(encoded).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [image], "Layers": ["layer.tar"]}]
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, mode="w") as archive:
        _add(archive, name, encoded)
        _add(archive, "layer.tar", layer.getvalue())
        _add(archive, "manifest.json", json.dumps(manifest).encode())


def ctr(place: Layout, *arguments: str, check: bool = True) -> str:
    """Run containerd's client against this cluster's containerd and return what it prints."""
    command = ["ctr", "--address", str(place.socket), "--namespace", "k8s.io", *arguments]
    return subprocess.run(command, check=check, capture_output=True, text=True).stdout


def loaded(place: Layout) -> set[str]:
    """Return the names of the images that the node has."""
    return set(ctr(place, "images", "ls", "-q").split())


def load(place: Layout, archive: Path) -> None:
    """Import a docker archive into the running node."""
    ctr(place, "images", "import", str(archive))


def provide(place: Layout, *, image: str, program: str) -> None:
    """Make an image of one of our programs and load it, unless the node has it from an earlier boot."""
    if image in loaded(place):
        return
    archive = place.images / f"{program}.tar"
    path = programs.path(program, where=place)
    scratch(archive, image=image, files={f"/bin/{program}": path}, entrypoint=f"/bin/{program}")
    load(place, archive)
    archive.unlink()


def load_pause(place: Layout) -> None:
    """Make the image of the pods' first process, unless the node has it from an earlier boot."""
    if PAUSE in loaded(place):
        return
    archive = place.images / "pause.tar"
    program = programs.path("pause", where=place)
    scratch(archive, image=PAUSE, files={"/pause": program}, entrypoint="/pause")
    load(place, archive)

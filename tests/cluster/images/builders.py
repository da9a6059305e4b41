"""Build one image with what the machine has: docker or podman and a registry, else buildah on a base of our own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.images import base

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.cluster.images.recipes import Recipe

UPSTREAM = "docker.io/library/python:3.13-slim"
_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
_PIP = {"PIP_INDEX_URL": "index-url", "PIP_EXTRA_INDEX_URL": "extra-index-url", "PIP_TRUSTED_HOST": "trusted-host"}
_UV = {"UV_DEFAULT_INDEX": "index-url", "UV_INDEX_URL": "index-url", "UV_EXTRA_INDEX_URL": "extra-index-url"}


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, check=False, capture_output=True, timeout=120).returncode == 0
    except subprocess.TimeoutExpired:
        return False


@cache
def engine() -> str:
    """Return docker or podman if one runs and gets the Python image, else buildah."""
    for name in ("docker", "podman"):
        if shutil.which(name) and _succeeds(name, "info"):
            present = _succeeds(name, "image", "inspect", UPSTREAM)
            if present or _succeeds(name, "pull", "--quiet", UPSTREAM):
                return name
    return "buildah"


def _context(recipe: Recipe, folder: Path) -> None:
    """Copy what the recipe names, nothing else: the tag is a digest of just these files."""
    for name, source in recipe.files():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def _index_settings(folder: Path) -> list[tuple[Path, str]]:
    """Write the machine's package index settings for pip and uv, to be seen by the build only."""
    environment = os.environ
    pip = [f"{key} = {environment[name]}" for name, key in _PIP.items() if environment.get(name)]
    uv = {key: environment[name] for name, key in _UV.items() if environment.get(name)}
    lines = [f'{key} = "{value}"' if key == "index-url" else f'{key} = ["{value}"]' for key, value in uv.items()]
    found = []
    for name, content, target in (
        ("pip.conf", ["[global]", *pip] if pip else [], "/etc/pip.conf"),
        ("uv.toml", lines, "/etc/uv/uv.toml"),
    ):
        if content:
            (folder / name).write_text("\n".join(content) + "\n")
            found.append((folder / name, target))
    return found


@contextmanager
def _inputs(recipe: Recipe) -> Iterator[tuple[Path, list[tuple[Path, str]]]]:
    """Yield the build's context and the files that are mounted while it runs: they reach no layer and no history."""
    with tempfile.TemporaryDirectory(prefix="lean-payments-image-") as name:
        folder = Path(name)
        context, mounted = folder / "context", folder / "mounted"
        context.mkdir()
        mounted.mkdir(mode=0o700)
        _context(recipe, context)
        files = _index_settings(mounted)
        bundle = Path(os.environ.get("SSL_CERT_FILE") or _AUTHORITIES)
        yield context, files + ([(bundle, _AUTHORITIES)] if bundle.exists() else [])


def _with_buildah(recipe: Recipe, *, image: str, archive: Path, arguments: Mapping[str, str]) -> None:
    base.make()
    with _inputs(recipe) as (context, files):
        mounts = [part for source, target in files for part in ("-v", f"{source}:{target}:ro")]
        given = _build_arguments({"BASE_IMAGE": base.IMAGE, **arguments})
        options = ["--layers", "--isolation", "chroot", *given, *mounts]
        target = ["--target", recipe.target, "-f", str(recipe.dockerfile), "-t", image, str(context)]
        _run("buildah", "bud", "-q", *options, *target)
    _run("buildah", "push", "-q", image, f"docker-archive:{archive}:{image}")


def _with_daemon(program: str, recipe: Recipe, *, image: str, archive: Path, arguments: Mapping[str, str]) -> None:
    with _inputs(recipe) as (context, files):
        secrets = [part for source, target in files for part in ("--secret", f"id={Path(target).name},src={source}")]
        given = _build_arguments({"BASE_IMAGE": UPSTREAM, **arguments})
        options = [*given, *secrets, "--target", recipe.target, "-t", image]
        _run(program, "build", "-q", *options, "-f", str(recipe.dockerfile), str(context))
    _run(program, "save", "-o", str(archive), image)


def _build_arguments(arguments: Mapping[str, str]) -> list[str]:
    return [part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")]


def _run(*command: str) -> None:
    """Run a builder; what it says is shown only when it fails.

    Raises:
        RuntimeError: it failed, with the end of its output.
    """
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=os.environ | {"DOCKER_BUILDKIT": "1"}
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} {command[1]} failed:\n{(done.stdout + done.stderr)[-4000:]}")


def build(recipe: Recipe, *, image: str, archive: Path, arguments: Mapping[str, str]) -> None:
    """Build the image with the Dockerfile's `arguments` and save it; the archive appears only when it is whole."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_name(f".{archive.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    try:
        if engine() == "buildah":
            _with_buildah(recipe, image=image, archive=partial, arguments=arguments)
        else:
            _with_daemon(engine(), recipe, image=image, archive=partial, arguments=arguments)
        partial.rename(archive)
    finally:
        partial.unlink(missing_ok=True)


def take(archive: Path, *, image: str, name: str) -> None:
    """Load a built image into the builder's store, from which it may have been pruned, under a name of the caller's."""
    if engine() == "buildah":
        _run("buildah", "pull", "-q", f"docker-archive:{archive}")
    else:
        _run(engine(), "load", "-q", "-i", str(archive))
    _run(engine(), "tag", image, name)

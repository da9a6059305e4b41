"""Have the images where pods get them from: in the running node, in kind, or in TEST_REGISTRY."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.cluster.images import builders
from tests.cluster.images.recipes import Recipe, recipes
from tests.cluster.node import images, processes
from tests.cluster.node.layout import Layout, layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_KEPT = 8  # archives of one image: what colleagues' branches and the last few changes need


def _archive(place: Layout, recipe: Recipe) -> Path:
    return place.images / f"{recipe.name}-{recipe.tag()}.tar"


def name_of(recipe: Recipe) -> str:
    """Return the image's name as pods use it."""
    registry = os.environ.get("TEST_REGISTRY", "").rstrip("/") or "localhost"
    return f"{registry}/{recipe.name}:{recipe.tag()}"


def _prune(place: Layout, recipe: Recipe) -> None:
    """Forget the oldest builds; a pod that runs on one keeps running."""
    archives = sorted(place.images.glob(f"{recipe.name}-*.tar"), key=lambda path: path.stat().st_mtime)
    for archive in archives[:-_KEPT]:
        tag = archive.stem.removeprefix(f"{recipe.name}-")
        if processes.alive(place).get("containerd"):
            images.ctr(place, "images", "rm", f"localhost/{recipe.name}:{tag}", check=False)
        archive.unlink(missing_ok=True)


def _built(place: Layout, recipe: Recipe) -> Path:
    archive = _archive(place, recipe)
    if archive.exists():
        os.utime(archive)
        return archive
    started = time.monotonic()
    sys.stderr.write(f"{name_of(recipe)}: building (about 1 min from nothing)\n")
    builders.build(recipe, image=name_of(recipe), archive=archive, arguments=_arguments(place, recipe))
    sys.stderr.write(f"{name_of(recipe)}: built in {time.monotonic() - started:.0f} s\n")
    _prune(place, recipe)
    return archive


def _arguments(place: Layout, recipe: Recipe) -> dict[str, str]:
    """Return the build's arguments, with the image of ours that it stands on in the builder's store."""
    if recipe.on is None:
        return {}
    name = name_of(recipe.on)
    with _alone(place, recipe.on):
        builders.take(_built(place, recipe.on), image=name, name=name)
    return {"POSTGRES_IMAGE": name}


def _push(recipe: Recipe, archive: Path) -> None:
    target = name_of(recipe)
    if builders.engine() == "buildah":
        command = ["buildah", "push", "-q", target, f"docker://{target}"]
    else:
        subprocess.run([builders.engine(), "load", "-q", "-i", str(archive)], check=True, stdout=subprocess.DEVNULL)
        command = [builders.engine(), "push", "-q", target]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _kind_cluster() -> str | None:
    command = ["kubectl", "config", "current-context"]
    environment = os.environ | {"KUBECONFIG": os.environ["TEST_KUBECONFIG"]}
    context = subprocess.run(command, check=False, capture_output=True, text=True, env=environment).stdout.strip()
    return context.removeprefix("kind-") if context.startswith("kind-") and shutil.which("kind") else None


def _deliver(place: Layout, recipe: Recipe, archive: Path) -> None:
    """Bring one image to the cluster.

    Raises:
        RuntimeError: the given cluster has no way to get it.
    """
    if os.environ.get("TEST_REGISTRY"):
        _push(recipe, archive)
    elif os.environ.get("TEST_KUBECONFIG"):
        cluster = _kind_cluster()
        if cluster is None:
            raise RuntimeError("set TEST_REGISTRY to a registry that the cluster of TEST_KUBECONFIG pulls from")
        subprocess.run(["kind", "load", "image-archive", str(archive), "--name", cluster], check=True)
    elif processes.alive(place).get("containerd"):
        if name_of(recipe) not in images.loaded(place):
            images.load(place, archive)
        # what k8s/dev names, so that people can apply it as it is
        images.ctr(place, "images", "tag", "--force", name_of(recipe), f"localhost/{recipe.name}:dev")


@contextmanager
def _alone(place: Layout, recipe: Recipe) -> Iterator[None]:
    """One lock for each image: two checkouts may ask at once, and the second then finds it built."""
    place.images.mkdir(parents=True, exist_ok=True)
    with (place.images / f".{recipe.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_as(short: str, *, name: str) -> None:
    """Build an image unless it is built and give it a name of the caller's in the builder's own store."""
    place, recipe = layout(), recipes()[short]
    with _alone(place, recipe):
        builders.take(_built(place, recipe), image=name_of(recipe), name=name)


def ensure(wanted: Iterable[str] | None = None) -> dict[str, str]:
    """Build what is not built, bring it to the cluster if one runs, and return the images' names by short name.

    Args:
        wanted: of service, operator, postgresql, backup, valkey; all by default.

    Raises:
        RuntimeError: a builder failed, or the cluster of TEST_KUBECONFIG cannot be given images.
    """
    known = recipes()
    return {short: deliver(known[short]) for short in wanted or known}


def deliver(recipe: Recipe) -> str:
    """Build the image unless it is built, bring it to the cluster if one runs, and return its name."""
    place = layout()
    with _alone(place, recipe):
        _deliver(place, recipe, _built(place, recipe))
    return name_of(recipe)

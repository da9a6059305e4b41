"""Debian's packages that the cluster and its images need: installed where this user may, named elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

RUNTIME = {
    "containerd": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "ip": "iproute2",
    "openssl": "openssl",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
BUILDING = {"buildah": "buildah", "debootstrap": "debootstrap"}


def missing(wanted: Mapping[str, str]) -> list[str]:
    """Return the packages whose programs are not there."""
    return sorted(package for program, package in wanted.items() if not shutil.which(program))


def installable() -> bool:
    """Tell whether this user can install Debian packages here."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(wanted: Mapping[str, str]) -> None:
    """Install what is missing.

    Raises:
        RuntimeError: something is missing and this user cannot install it.
    """
    packages = missing(wanted)
    if not packages:
        return
    if not installable():
        raise RuntimeError(f"install {' '.join(packages)} (apt-get install {' '.join(packages)})")
    sys.stdout.write(f"installing {' '.join(packages)}\n")
    sys.stdout.flush()
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        subprocess.run(["apt-get", *command], check=True, env=quiet, stdout=subprocess.DEVNULL)

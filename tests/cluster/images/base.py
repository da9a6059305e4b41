"""The Python image for machines that reach no registry: Debian's own packages, from the machine's own mirror."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cluster.node import packages

IMAGE = "localhost/python:3.13"
_SUITE = "trixie"  # the Debian whose python3 is 3.13
_PACKAGES = "python3,ca-certificates"
_MIRROR = "http://deb.debian.org/debian"
_SHRINK = """
apt-get install -y -qq --no-install-recommends python3-pip >/dev/null
rm -f /usr/lib/python3*/EXTERNALLY-MANAGED
ln -sf python3 /usr/bin/python
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/* /usr/share/doc/* /usr/share/man/* /usr/share/locale/*
"""


def _mirror() -> str:
    """Return the mirror that this machine's apt uses; another one may not be reachable from here."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"]
    found = subprocess.run(command, check=False, capture_output=True, text=True).stdout.splitlines()
    return next((line.rstrip("/") for line in found if line.rstrip("/").endswith("/debian")), _MIRROR)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def exists() -> bool:
    """Tell whether the image is in buildah's store."""
    return (
        subprocess.run(["buildah", "inspect", "--type=image", IMAGE], check=False, capture_output=True).returncode == 0
    )


def _system(folder: Path) -> None:
    _run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(folder), _mirror())
    (folder / "etc/resolv.conf").write_bytes(Path("/etc/resolv.conf").read_bytes())
    _run("chroot", str(folder), "sh", "-euc", _SHRINK)
    for leftover in ("etc/resolv.conf", "etc/hostname"):
        (folder / leftover).write_text("")


def make() -> None:
    """Make the image unless it is there (about a minute)."""
    packages.install(packages.BUILDING)
    if exists():
        return
    sys.stdout.write(f"{IMAGE}: no registry answers, making it from Debian {_SUITE} (about 1 min)\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory(prefix="lean-payments-base-") as folder:
        system = Path(folder) / "root"
        _system(system)
        container = _run("buildah", "from", "scratch")
        try:
            _run("buildah", "add", "-q", container, str(system), "/")
            _run("buildah", "config", "--env", "LANG=C.UTF-8", "--cmd", "python3", container)
            _run("buildah", "commit", "-q", container, IMAGE)
        finally:
            _run("buildah", "rm", container)

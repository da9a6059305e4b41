"""Certificates for servers that require TLS, made with openssl."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.requirements import require

if TYPE_CHECKING:
    from pathlib import Path

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "3")


def make_authority(folder: Path, *, name: str = "ca") -> Path:
    """Make a self-signed authority and return its certificate."""
    require(shutil.which("openssl"), what="openssl", command="apt-get install openssl")
    certificate = folder / f"{name}.crt"
    _openssl("req", "-x509", *_CURVE, "-subj", f"/CN={name}", *_out(folder, name))
    return certificate


def issue(folder: Path, *, names: str, name: str = "server", by: str = "ca") -> tuple[Path, Path]:
    """Make a server's certificate for `names` (as `IP:127.0.0.1,DNS:localhost`) and return it with its key."""
    signer = ("-CA", str(folder / f"{by}.crt"), "-CAkey", str(folder / f"{by}.key"))
    extensions = ("-addext", f"subjectAltName={names}", "-addext", "basicConstraints=critical,CA:FALSE")
    _openssl("req", "-x509", *signer, *_CURVE, "-subj", f"/CN={name}", *extensions, *_out(folder, name))
    return folder / f"{name}.crt", folder / f"{name}.key"


def _out(folder: Path, name: str) -> tuple[str, ...]:
    return ("-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt"))


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)

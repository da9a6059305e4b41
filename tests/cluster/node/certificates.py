"""The cluster's certificates and the kubeconfig files made of them, new at every boot."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import TYPE_CHECKING

from tests.cluster.node.layout import API_PORT, HOST, NODE, SERVICE_API, Layout

if TYPE_CHECKING:
    from pathlib import Path

_API_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
# name of the certificate → its subject; what runs on the host and is trusted wholly is in system:masters.
_CLIENTS = {
    "admin": "/O=system:masters/CN=admin",
    "apiserver-kubelet-client": "/O=system:masters/CN=apiserver",
    "kube-controller-manager": "/CN=system:kube-controller-manager",
    "kube-scheduler": "/CN=system:kube-scheduler",
    "kube-proxy": "/CN=system:kube-proxy",
    "kubelet": f"/O=system:nodes/CN=system:node:{NODE}",
    "host-program": "/O=system:masters/CN=host-program",
}
_KUBECONFIGS = {name: name for name in ("kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet")} | {
    "host-program": "host-program",
    "admin": "admin",
}


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def authority(folder: Path, *, name: str) -> None:
    """Make a self-signed authority `<name>.crt` with its key."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")  # without it Python ≥ 3.13 refuses the authority
    output = ("-keyout", str(key), "-out", str(certificate))
    _openssl("req", "-x509", *curve, "-days", "30", "-subj", f"/CN={name}", *usage, *output)


def issue(folder: Path, *, name: str, subject: str, names: tuple[str, ...] = (), by: str = "ca") -> None:
    """Make `<name>.crt` and `<name>.key`, signed by the authority, valid for the DNS names and IPs given."""
    alternatives = ",".join(f"IP:{item}" if item[0].isdigit() else f"DNS:{item}" for item in names)
    extensions = ["-addext", f"subjectAltName={alternatives}"] if names else []
    usage = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth,clientAuth"]
    signer = ["-CA", str(folder / f"{by}.crt"), "-CAkey", str(folder / f"{by}.key")]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
    output = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
    _openssl("req", "-x509", *signer, *key, "-days", "30", "-subj", subject, *extensions, *usage, *output)


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def kubeconfig(folder: Path, *, name: str, server: str | None = None) -> str:
    """Return a kubeconfig (JSON is YAML) that authenticates with the named client certificate."""
    address = server or f"https://{HOST}:{API_PORT}"
    authority_data = _encoded(folder / "ca.crt")
    user = {
        "client-certificate-data": _encoded(folder / f"{name}.crt"),
        "client-key-data": _encoded(folder / f"{name}.key"),
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": address, "certificate-authority-data": authority_data}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
    }
    return json.dumps(content, indent=1)


def make(place: Layout) -> None:
    """Make every certificate, key and kubeconfig of one boot."""
    folder = place.pki
    folder.mkdir(parents=True, mode=0o700)
    authority(folder, name="ca")
    authority(folder, name="front-proxy-ca")
    issue(
        folder,
        name="apiserver",
        subject="/CN=kube-apiserver",
        names=("127.0.0.1", HOST, SERVICE_API, "localhost", *_API_NAMES),
    )
    issue(folder, name="kubelet-server", subject=f"/CN={NODE}", names=(NODE, HOST))
    issue(folder, name="front-proxy", subject="/CN=front-proxy", by="front-proxy-ca")
    for name, subject in _CLIENTS.items():
        issue(folder, name=name, subject=subject)
    _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(folder / "tokens.key"))
    for name, certificate in _KUBECONFIGS.items():
        target = place.run / f"{name}.kubeconfig"
        target.write_text(kubeconfig(folder, name=certificate))
        target.chmod(0o600)

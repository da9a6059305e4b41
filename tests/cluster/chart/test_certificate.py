"""The chart's Certificate, issued and renewed by the real cert-manager, and the Ingress that shows it."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.node import ingress
from tests.cluster.node.layout import INGRESS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster.chart.release import Release

pytestmark = pytest.mark.timeout(900)
HOST = "certified.test"
AUTHORITY = "authority"
# cert-manager's documentation of a CA issuer: a self-signed root, and an issuer that signs with it
ISSUERS = [
    {"kind": "Issuer", "metadata": {"name": "root"}, "spec": {"selfSigned": {}}},
    {
        "kind": "Certificate",
        "metadata": {"name": AUTHORITY},
        "spec": {
            "isCA": True,
            "commonName": AUTHORITY,
            "secretName": AUTHORITY,
            "issuerRef": {"name": "root", "kind": "Issuer"},
        },
    },
    {"kind": "Issuer", "metadata": {"name": AUTHORITY}, "spec": {"ca": {"secretName": AUTHORITY}}},
]


@pytest.fixture
def certified(release: Release, cert_manager: None, ingress_controller: None) -> Iterator[ssl.SSLContext]:
    """The release behind the Ingress, with a certificate that is renewed half a minute after it was issued."""
    assert (cert_manager, ingress_controller) == (None, None)
    items = [{"apiVersion": "cert-manager.io/v1", **item} for item in ISSUERS]
    release.namespace.kubectl(
        "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    )
    release.namespace.kubectl("wait", f"issuer/{AUTHORITY}", "--for=condition=Ready", "--timeout=120s")
    short = {"duration": "1h", "renewBefore": "59m30s"}
    values = {
        "ingress": {"enabled": True, "host": HOST, "className": ingress.CLASS},
        "certificate": {"enabled": True, "issuerName": AUTHORITY, "issuerKind": "Issuer", **short},
        "networkPolicy": {"ingressNamespaceLabels": {"kubernetes.io/metadata.name": ingress.NAMESPACE}},
    }
    with release.changed(values):
        root = json.loads(release.namespace.kubectl("get", "secret", AUTHORITY, "-o", "json"))["data"]["tls.crt"]
        yield ssl.create_default_context(cadata=base64.b64decode(root).decode())
    release.namespace.kubectl("delete", "secret", f"{release.fullname}-tls")  # cert-manager leaves it


def test_cert_manager_issues_the_certificate_and_the_ingress_shows_the_renewed_one(
    release: Release, certified: ssl.SSLContext, say: Callable[[str], None]
) -> None:
    started = time.monotonic()
    first = release.namespace.until(lambda: serial(certified))
    assert first, certificate(release)
    assert release.namespace.until(lambda: revision(release) >= 2, seconds=240), certificate(release)
    renewed = release.namespace.until(lambda: (now := serial(certified)) and now != first and now)
    assert renewed, certificate(release)
    assert ready(release)
    say(f"certificate {first} renewed as {renewed}; the Ingress showed it {time.monotonic() - started:.0f} s later")


def serial(context: ssl.SSLContext) -> str | None:
    """Return the serial number of the certificate that the Ingress shows, none unless our authority signed it."""
    try:
        with (
            socket.create_connection((INGRESS, 443), 5) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as encrypted,
        ):
            shown = encrypted.getpeercert()
            return str(shown["serialNumber"]) if shown else None
    except OSError:  # until the controller has read the Secret it shows a certificate of its own
        return None


def certificate(release: Release) -> dict[str, Any]:
    """Return the chart's Certificate."""
    found: dict[str, Any] = json.loads(release.namespace.kubectl("get", "certificate", release.fullname, "-o", "json"))
    return found


def revision(release: Release) -> int:
    """Return how many times it has been issued."""
    return int(certificate(release).get("status", {}).get("revision", 0))


def ready(release: Release) -> bool:
    """Tell whether cert-manager calls it ready."""
    conditions = certificate(release)["status"]["conditions"]
    found: dict[str, str] = {condition["type"]: condition["status"] for condition in conditions}
    return found["Ready"] == "True"

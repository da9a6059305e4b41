"""The operator trusts the API servers that Go's clients trust: authorities without every extension of RFC 5280."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import kopf
from tests.cluster.node.certificates import authority

from payment_operator.runtime.handlers import Connection

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def strict(cafile: str | None = None, **_: object) -> ssl.SSLContext:
    """What Python 3.13 makes, whatever version runs the test."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def test_the_watch_is_not_stricter_than_kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "create_default_context", strict)
    authority(tmp_path, name="ca")
    given = kopf.ConnectionInfo(
        server="https://10.0.0.1", ca_path=tmp_path / "ca.crt", token="t", default_namespace="n"
    )
    connection = Connection.like(given)
    assert connection is not None
    assert (connection.server, connection.token, connection.default_namespace) == ("https://10.0.0.1", "t", "n")
    assert given.as_ssl_context().verify_flags & ssl.VERIFY_X509_STRICT
    context = connection.as_ssl_context()
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_without_a_login_there_is_no_connection() -> None:
    assert Connection.like(None) is None

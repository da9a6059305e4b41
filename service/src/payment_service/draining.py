"""`payments drain`: the preStop hook of the API's pods.

Tells the process beside it, over loopback, that it is about to stop, and returns when its clients have had their time
to leave (kubernetes.io/docs/concepts/containers/container-lifecycle-hooks). It runs inside the container because the
kubelet's own HTTP does not reach a pod under strict mTLS. It starts a Python of its own in a pod that serves: it loads
small parts of the standard library and nothing of the service.

A hook that could not ask has failed, and says so: status 1 with the setting or the file that is at fault, which
Kubernetes tells in an Event (`FailedPreStopHook`). The pod drains all the same: after a hook that failed the kubelet
sends SIGTERM at once, and on SIGTERM the process itself goes on serving for as long as `PAYMENTS_DRAIN_SECONDS` says.
So the hook does not wait in its stead, and does not hide a token that cannot be read behind a 0. Only when nothing
listens there is nothing to drain: that is 0.
"""

from __future__ import annotations

import os
import socket
import sys
import time

from payment_service.http.admin_token import derived_token

DEFAULT_PORT = 9090
TIMEOUT_SECONDS = 5.0
LONGEST_ANSWER = 65536
_BOTH = ("127.0.0.1", "::1")
_LOOPBACK = {"": _BOTH, "::": _BOTH, "0.0.0.0": _BOTH[:1]}  # noqa: S104 - what the admin port listens on
_BODY = b'{"drain":true,"stopping":true}'


class _Faulty(Exception):
    """A setting, or the file that it names, cannot be used."""


def main() -> int:
    """Drain and wait. 0: done, or nothing is left to drain; 1: not asked or refused, and SIGTERM makes it drain."""
    try:
        host, port, token = os.environ.get("PAYMENTS_ADMIN_HOST", "").strip(), _port(), _token()
    except _Faulty as error:
        sys.stderr.write(f"{error}. Nothing was drained by this hook; SIGTERM drains what runs.\n")
        return 1
    try:
        status, body = _put(_LOOPBACK.get(host, (host,)), port, token)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"Nothing drains on the admin port {port}: {error}. SIGTERM drains what still runs.\n")
        return 0
    if status != 200:  # noqa: PLR2004 - HTTP
        sys.stderr.write(f"The admin port {port} answered {status}: {body[:300]}\n")
        return 1
    time.sleep(float(body.partition('"seconds":')[2].partition("}")[0].partition(",")[0] or 0))
    return 0


def _put(hosts: tuple[str, ...], port: int, token: str) -> tuple[int, str]:
    """Send the request and return the answer's status and body."""
    head = f"PUT /drain HTTP/1.1\r\nHost: admin\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    rest = f"Content-Length: {len(_BODY)}\r\nConnection: close\r\n\r\n"
    answer = b""
    with _connected(hosts, port) as connection:
        connection.sendall((head + rest).encode() + _BODY)
        while len(answer) < LONGEST_ANSWER and (part := connection.recv(4096)):
            answer += part
    line, _, text = answer.decode("utf-8", "replace").partition("\r\n")
    return int(line.split(" ")[1]) if " " in line else 0, text.partition("\r\n\r\n")[2]


def _connected(hosts: tuple[str, ...], port: int) -> socket.socket:
    """Return a connection to the first of the addresses that takes one."""
    *others, last = hosts
    for host in others:
        try:
            return socket.create_connection((host, port), TIMEOUT_SECONDS)
        except OSError:  # the machine may have no addresses of this kind
            continue
    return socket.create_connection((last, port), TIMEOUT_SECONDS)


def _port() -> int:
    text = os.environ.get("PAYMENTS_ADMIN_PORT", "").strip()
    if not text:
        return DEFAULT_PORT
    if not (text.isascii() and text.isdigit()):
        raise _Faulty(f"PAYMENTS_ADMIN_PORT: {text[:40]!r} is not a port")
    return int(text)


def _token() -> str:
    """Return what the admin port asks for, from where the process itself has it."""
    if token := _secret("PAYMENTS_ADMIN_TOKEN"):
        return token
    keys = _secret("SECRET_KEY").replace(",", " ").split()
    return derived_token(keys[0]) if keys else ""


def _secret(name: str) -> str:
    """Return the setting, or what stands in the file that `NAME_FILE` names."""
    if file := os.environ.get(f"{name}_FILE", "").strip():
        try:
            with open(file, encoding="utf-8") as content:  # noqa: PTH123 - pathlib takes longer to load than the rest
                return content.read().strip()
        except OSError as error:
            raise _Faulty(f"{name}_FILE: {file} cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise _Faulty(f"{name}_FILE: {file} cannot be read (it is not UTF-8)") from error
    return os.environ.get(name, "").strip()

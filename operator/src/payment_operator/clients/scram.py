"""SCRAM-SHA-256 verifiers as PostgreSQL stores them (RFC 5803, RFC 7677): made here, so that its log holds no password.

`ALTER ROLE … PASSWORD` takes a verifier in place of the password: postgresql.org/docs/current/sql-createrole.html.
asyncpg keeps its SCRAM to itself; scramp gives the two keys, not the verifier: it would spare four lines of these.
"""

import base64
import hashlib
import hmac
import secrets
from typing import Final

ITERATIONS: Final = 4096
"""PostgreSQL's own default (scram_iterations)."""
SALT_BYTES: Final = 16
_PASSWORD_BYTES: Final = 32


def new_password() -> str:
    """A password of 256 random bits in ASCII, which SASLprep (RFC 4013) leaves as it is."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)


def verifier(password: str, *, salt: bytes | None = None) -> str:
    """What PostgreSQL needs to check the password and from which it cannot be computed."""
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, ITERATIONS)
    client = hmac.new(salted, b"Client Key", hashlib.sha256).digest()
    server = hmac.new(salted, b"Server Key", hashlib.sha256).digest()
    return f"SCRAM-SHA-256${ITERATIONS}:{_text(salt)}${_text(hashlib.sha256(client).digest())}:{_text(server)}"


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()

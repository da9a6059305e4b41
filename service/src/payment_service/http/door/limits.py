"""The limits of the door, each a setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from payment_service.config.environment import EnvironmentReader


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorSettings:
    """How long and how much a client may keep a process busy. The defaults suit a pod of 256 MiB."""

    first_byte_seconds: float = 10
    """`PAYMENTS_FIRST_BYTE_TIMEOUT_SECONDS`: from connecting to the first byte of a request."""
    head_seconds: float = 10
    """`PAYMENTS_HEAD_TIMEOUT_SECONDS`: from a head's first byte to its last; then 408."""
    head_bytes: int = 32 * 1024
    """`PAYMENTS_HEAD_MAX_BYTES`: request line and header fields together; more is 431 (or 414: the path)."""
    head_fields: int = 100
    """`PAYMENTS_HEAD_MAX_FIELDS`: header fields of a request; more is 431."""
    body_seconds: float = 30
    """`PAYMENTS_BODY_TIMEOUT_SECONDS`: from a body's first byte to its last; then 408."""
    body_bytes_per_second: int = 1024
    """`PAYMENTS_BODY_MIN_BYTES_PER_SECOND`: on average from the fifth second of a body; less is 408; 0: any rate."""
    answer_seconds: float = 30
    """`PAYMENTS_ANSWER_TIMEOUT_SECONDS`: without the client taking 1 KiB a second of an answer."""
    keep_alive_seconds: float = 75
    """`PAYMENTS_KEEP_ALIVE_SECONDS`: between two requests; longer than any proxy before it keeps idle connections."""
    connections: int = 2000
    """`PAYMENTS_MAX_CONNECTIONS`: of one process on the API's port; the admin port has 128 of its own."""
    held_bytes: int = 32 * 1024 * 1024
    """`PAYMENTS_MAX_HELD_BYTES`: of all requests not yet answered and all answers not yet taken, on one port."""
    grace_seconds: float = 5
    """No setting: from then on a body's rate is judged, for TCP and TLS start slowly."""
    linger_seconds: float = 5
    """No setting: for the rest of a body that was answered early, and for the client to close after the last answer
    (RFC 9112, section 9.6)."""


def read_door(reader: EnvironmentReader) -> DoorSettings:
    """Read the settings from the environment."""
    return DoorSettings(
        first_byte_seconds=reader.number("PAYMENTS_FIRST_BYTE_TIMEOUT_SECONDS", 10, minimum=0.1, maximum=600),
        head_seconds=reader.number("PAYMENTS_HEAD_TIMEOUT_SECONDS", 10, minimum=0.1, maximum=600),
        head_bytes=reader.integer("PAYMENTS_HEAD_MAX_BYTES", 32_768, minimum=4096, maximum=1_048_576),
        head_fields=reader.integer("PAYMENTS_HEAD_MAX_FIELDS", 100, minimum=20, maximum=1000),
        body_seconds=reader.number("PAYMENTS_BODY_TIMEOUT_SECONDS", 30, minimum=0.1, maximum=3600),
        body_bytes_per_second=reader.integer("PAYMENTS_BODY_MIN_BYTES_PER_SECOND", 1024, minimum=0, maximum=1_048_576),
        answer_seconds=reader.number("PAYMENTS_ANSWER_TIMEOUT_SECONDS", 30, minimum=0.1, maximum=3600),
        keep_alive_seconds=reader.number("PAYMENTS_KEEP_ALIVE_SECONDS", 75, minimum=0.1, maximum=3600),
        connections=reader.integer("PAYMENTS_MAX_CONNECTIONS", 2000, minimum=10, maximum=100_000),
        held_bytes=reader.integer("PAYMENTS_MAX_HELD_BYTES", 33_554_432, minimum=2_097_152, maximum=17_179_869_184),
    )

"""The form of an API key: `lp_live_` or `lp_test_`, 32 random characters, 11 characters of a MAC.

- **Prefix and mode** stand in clear text, so that people see what a key is for and secret scanners find it:
  `lp_(?:live|test)_[0-9A-Za-z]{43}`. Base62 has no character at which a double click or a pattern stops.
- **The random part** has 190 bits. It alone authenticates, by the digest that is stored of the whole key.
- **The MAC** (64 bits of HMAC-SHA256 over everything before it) tells keys that were made here from invented ones
  without asking the database. It is a filter, not a proof: a right one makes the service look the key up, no more.

The MAC is made under the value of `SECRET_KEY` that was the first when the key was made. A key outlives that value: see
`access/service.py`.
"""

from __future__ import annotations

import hmac
import re
import secrets
import string
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from payment_service.access.secret_keys import SecretKey

PREFIX: Final = "lp_"
SHOWN_CHARACTERS: Final = 12
"""What is stored and shown of a key: prefix, mode and four random characters."""
RANDOM_CHARACTERS: Final = 32
MAC_CHARACTERS: Final = 11
_MAC_BYTES: Final = 8
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_FORM: Final = re.compile(
    rf"lp_(?P<mode>live|test)_[0-9A-Za-z]{{{RANDOM_CHARACTERS}}}(?P<mac>[0-9A-Za-z]{{{MAC_CHARACTERS}}})"
)


class Key(NamedTuple):
    """A text that has the form of an API key."""

    text: str
    livemode: bool


def new_key(*, livemode: bool, secret_key: SecretKey) -> str:
    """Return a new key."""
    mode = "live" if livemode else "test"
    random = "".join(secrets.choice(_ALPHABET) for _ in range(RANDOM_CHARACTERS))
    body = f"{PREFIX}{mode}_{random}"
    return body + _mac(body, secret_key)


def parse(text: str) -> Key | None:
    """Return the key that `text` is by its form; None when it has another."""
    match = _FORM.fullmatch(text)
    return None if match is None else Key(text, livemode=match["mode"] == "live")


def made_under(key: Key, secret_keys: Iterable[SecretKey]) -> SecretKey | None:
    """Return the value under which the MAC of `key` verifies; None when there is none among these."""
    body, mac = key.text[:-MAC_CHARACTERS], key.text[-MAC_CHARACTERS:]
    for secret_key in secret_keys:
        if hmac.compare_digest(_mac(body, secret_key), mac):
            return secret_key
    return None


def digest(key: str, *, secret_key: SecretKey) -> bytes:
    """Return what is stored of a key. A slow hash is not needed: the key is random, not chosen by a person."""
    return hmac.digest(secret_key.digest, key.encode(), "sha256")


def _mac(body: str, secret_key: SecretKey) -> str:
    number = int.from_bytes(hmac.digest(secret_key.mac, body.encode(), "sha256")[:_MAC_BYTES], "big")
    letters = []
    for _ in range(MAC_CHARACTERS):
        number, index = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[index])
    return "".join(reversed(letters))

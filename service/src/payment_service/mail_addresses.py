"""The one form by which e-mail addresses are compared. Pure.

Two spellings are one mailbox's when their domains are the same name (RFC 5321, section 2.4: of any case; an
internationalized one in its ASCII form, RFC 5890) and their local parts the same text in NFC, with ASCII letters of any
case. Full Unicode folding would equate the mailboxes of different people (`ß` and `ss`).
"""

from __future__ import annotations

import string
import unicodedata
from typing import Final

_ASCII_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def mail_key(address: str) -> str:
    """Return the form of an address by which it is compared; never raises, for addresses at Stripe are facts.

    A domain that is no name (RFC 5321, section 4.1.3, or one that IDNA refuses) is compared as the local part is.
    """
    local, at, domain = address.strip().rpartition("@")
    return f"{_lower(local)}{at}{_domain(domain.removesuffix('.'))}"


def _lower(text: str) -> str:
    return unicodedata.normalize("NFC", text).translate(_ASCII_LOWER)


def _domain(domain: str) -> str:
    if domain.isascii():
        return _lower(domain)
    import idna  # noqa: PLC0415 - its tables are large, and few domains need them

    try:
        return idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return _lower(domain)

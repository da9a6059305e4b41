"""URLs of endpoints: one spelling only, so that what is checked is what is connected to.

The URL is read by yarl, as the client that sends reads it: two parsers could see two hosts in one text (WHATWG's and
RFC 3986 differ on backslashes, white space and user information). Names become ASCII by IDNA here, once.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from yarl import URL

if TYPE_CHECKING:
    from payment_service.deliveries.addresses import Rules

MAXIMUM_CHARACTERS: Final = 2048
_AUTHORITY_END: Final = re.compile("[/?#]")
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")
_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
"""A last label by which a host is an address and no name (url.spec.whatwg.org, "ends in a number checker"), in decimal,
octal, hexadecimal, or with fewer than four parts."""


class UnsafeUrl(ValueError):
    """No webhook is sent there; the text is a sentence for whoever gave the URL."""


def parse_url(text: str, *, rules: Rules) -> URL:
    """Return the URL of an endpoint in its one form: a name in lower case and ASCII, without a dot at its end.

    A name is looked up when something is sent, not here: its addresses change.

    Raises:
        UnsafeUrl: it is none, or not allowed.
    """
    if len(text) > MAXIMUM_CHARACTERS:
        raise UnsafeUrl(f"longer than {MAXIMUM_CHARACTERS} characters")
    if not text.isprintable() or " " in text or "\\" in text:
        raise UnsafeUrl("holds white space, a backslash or a control character")
    try:
        url = URL(text)
        _check_parts(url, text, rules=rules)
        return url.with_host(_host_of(url, rules=rules))
    except UnsafeUrl:
        raise
    except ValueError as error:
        raise UnsafeUrl("not a URL; for example https://app.example.com/webhooks") from error


def _check_parts(url: URL, text: str, *, rules: Rules) -> None:
    schemes = ("https", "http") if rules.plain_http else ("https",)
    if url.scheme not in schemes:
        raise UnsafeUrl(f"begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if "@" in _AUTHORITY_END.split(text.partition("://")[2], maxsplit=1)[0]:
        raise UnsafeUrl("holds a user or a password; receivers know this service by its signature")
    if "#" in text:
        raise UnsafeUrl("holds a fragment, which is never sent")
    if url.explicit_port == 0:
        raise UnsafeUrl("has port 0")


def _host_of(url: URL, *, rules: Rules) -> str:
    """Return the host, checked if it is an address."""
    host = (url.raw_host or "").removesuffix(".")
    if ":" in host or _NUMBER.fullmatch(host):
        try:
            address = ip_address(host)
        except ValueError as error:
            raise UnsafeUrl("has an address that is not written in its plain form") from error
        if "%" in host or not rules.allow(address):
            raise UnsafeUrl("has an address that webhooks are not sent to")
    elif not _NAME.fullmatch(host):
        raise UnsafeUrl("has a host that is no name")
    return host

"""What never leaves a process: secrets, card numbers and addresses of people. The one place that knows them.

The service, the operator and `kubectl payments` use the same file. The first two may not import each other and are
wheels and images of their own, and the plugin is a single file without libraries: a third package would have to be
published, copied into both images and packed for nothing but this. So `make shared` copies the file, and what it needs,
into `payment_operator`, and a test holds the two equal. Hence also: only the standard library, and imports by siblings.

What begins a secret may stay (`sk_live_`, `whsec_`, the user of an address), of the rest not one character. Ids of
Stripe's and ours, request ids, times, host names and the addresses of pods stay: people need them. Addresses of callers
go where their field says that they are (`x-forwarded-for`, `client_ip`).

Every pattern takes what it has looked at, or looks a bounded way ahead: the time grows with the text, never faster.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from .card_numbers import WORD_START as _START
from .card_numbers import without_card_numbers

MARK: Final = "***"
SHORTEST_SECRET: Final = 6
"""A given value that is shorter would be found in ordinary words."""
SHORTEST_OWN_SECRET: Final = 12
"""Shorter than what a machine makes, and longer than the words that development uses (`payments`)."""
OWN_SECRETS: Final = 64
DECODED: Final = 3
"""How often text may be percent-encoded: an address in an address in an address."""
# Of a key: URL-safe and plain Base64, percent-encoded, with the escapes of JSON, masked in part.
_VALUE: Final = r"(?:[A-Za-z0-9_+/=%*-]|\\/|\\u00[0-9A-Fa-f]{2})+"

# Ends of names of fields, variables, headers and parameters.
_NAME: Final = (
    r"(?:pass(?:word|wd|phrase|code)|pwd|secret(?:[_-]?(?:access[_-]?)?key)?|token|credential|authorization|cookie"
    r"|(?:api|access|private|signing|encryption|master)[_-]?key(?:[_-]?id)?|client[_-]key[_-]data|signature"
    rf"|{_START}(?:dsn|e?mail|phone|line[12]|postal[_-]?code|ip[_-]address|(?:client|remote|user)[_-](?:ip|addr)"
    r"|(?:customer|first|last|full|cardholder|given|family)[_-]name|x-forwarded-for|x-real-ip))"
    r"(?:[_-]?(?:old|new|current|previous|next|[0-9]{1,3}))?"
)
# The end of a quoted text: of JSON and Python, doubled in SQL and libpq, JSON within JSON, cut short with its line.
_QUOTED: Final = (
    r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.|'')*'|(?P<{0}>\\{{1,7}}["']).*?(?<!\\)(?P={0})|\\{{0,7}}["'][^\n]*)"""
)
_LIST: Final = r"""\[(?=\s*["'])(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\]"'])*\]?"""
_BARE: Final = r"""(?:\\(?!["'])|"(?=[^\s,}\]):;])|[^\s"\\])+"""
# What a value looks like, where somebody is told what to send: `Authorization: Bearer lp_…`.
_PATTERN: Final = r"(?:Bearer |Basic )?(?:[a-z]{2,5}_(?:live_|test_)?)?…"
_ADDRESSES: Final = r"(?=[0-9A-Fa-f.:%]*[.:])[0-9A-Fa-f.:%]+(?:,[ \t]*(?=[0-9A-Fa-f.:%]*[.:])[0-9A-Fa-f.:%]+)+"
_SCHEME: Final = r"(?:(?:Bearer|Basic|Token|Digest)[ \t]+)?"
# What reads on in plain words is a sentence: `STRIPE_SECRET_KEY: must begin with …`.
_SENTENCE: Final = r"[ \t]+[a-z]+(?:'[a-z]+)?[,;]?[ ]+[a-z(]"
_FORMS: Final = (
    # ?password=… &sslpassword=…
    rf"(?P<query>[?&;][\w.%-]{{0,40}}?{_NAME}=)(?:\\(?![\"'])|[^&#\s\"<>\\])*",
    # "password": "…", {"name": "DATABASE_PASSWORD", "value": "…"}
    (
        rf"(?P<member>{_NAME}s?\\*[\"'](?:[ \t]*[:=]\s*|\s*,\s*\\*[\"']value\\*[\"']\s*:\s*)"
        r"(?!\s*\{|(?-i:null|true|false|None|True|False)\b))"
        rf"(?:b?{_QUOTED.format('member_quote')}|{_LIST}|[^\s,}}\]]+)"
    ),
    # (b"authorization", b"…"): a pair of its own, not two words of a list
    (
        r"(?P<header>[(\[]b?\\*[\"'][\w-]{0,40}?(?:authorization|signature|cookie|api.key|forwarded-for|real-ip)"
        r"\\*[\"'],\s*)"
        rf"(?:b?{_QUOTED.format('header_quote')}|{_LIST}|[^\s,}}\]]+)"
    ),
    # PASSWORD '…' of SQL, with escapes E'…'
    rf"(?P<sql>password[ \t]+e?)(?=\\*'){_QUOTED.format('sql_quote')}",
    # --token …
    rf"(?P<option>--[\w-]{{0,24}}?{_NAME}[ \t]+)(?!-){_BARE}",
    # X-Forwarded-For: …, … and Cookie: a=…; b=…
    rf"(?P<addresses>x-forwarded-for[ \t]*[:=][ \t]*){_ADDRESSES}",
    rf"(?P<cookies>cookie2?[ \t]*:[ \t]*(?=[^\s=;,\"']+=)){_BARE}(?:(?<=;)[ \t]+(?=[^\s=;:,\"']+=){_BARE})*",
    # password=…, PGPASSWORD: …, Authorization: Bearer …
    (
        rf"(?P<pair>{_NAME}(?:s(?=[ \t]*=[ \t]*\[))?[ \t]*(?:==(?=[ \t])|:?=|:(?!(?-i:{_SENTENCE})))[ \t]*)"
        rf"(?!{_PATTERN}|(?-i:Authorization: ))"  # the name of a header, in help; what follows it is looked at again
        rf"{_SCHEME}(?:b?{_QUOTED.format('pair_quote')}|{_LIST}|{_BARE})"
    ),
)
_PAIR: Final = re.compile("|".join(_FORMS), re.IGNORECASE | re.DOTALL)
_PAIR_MARKS: Final = ("=", ":", "'", "--")
_PAIR_FORMS: Final = ("query", "member", "header", "sql", "option", "addresses", "cookies", "pair")
_WORDS: Final = (
    *("pass", "pwd", "secret", "token", "credential", "auth", "cookie", "signature", "key", "dsn", "mail", "phone"),
    *("line", "postal", "_name", "-name", "ip_", "ip-", "_ip", "-ip", "addr", "x-"),
)
"""One of them is in each name."""
_SECRET_NAME: Final = re.compile(rf"{_NAME}s?\Z", re.IGNORECASE)

_KEY: Final = re.compile(rf"{_START}((?:[srpe]k_(?:test|live|org)|lp_(?:test|live))_){_VALUE}")
_CLIENT_SECRET: Final = re.compile(  # of the kinds of today, and of any other: an id of Stripe's form, then its secret
    rf"{_START}((?:(?:pi|seti|setatt|cs|src|vs|in|cuss|accs|fcsess)(?:_(?:test|live))?(?:_[A-Za-z0-9]+)?"
    rf"|[a-z]{{2,10}}(?:_(?:test|live))?_(?=[a-z]{{0,40}}[A-Z0-9])[A-Za-z0-9]{{12,}})(?:_client)?_secret_){_VALUE}"
)
_TEXTS: Final = (
    # whole, before a key's prefix is found within one of its parts; a word's beginning, so never within a key
    ("eyJ", re.compile(r"(?<![\w.-])eyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)*"), MARK),
    *((f"{mode}_", _KEY, rf"\1{MARK}") for mode in ("_test", "_live", "_org")),
    ("whsec_", re.compile(rf"{_START}whsec_{_VALUE}"), f"whsec_{MARK}"),
    ("lp_", re.compile(rf"{_START}lp_[A-Za-z0-9_-]{{16,}}"), f"lp_{MARK}"),
    ("_secret_", _CLIENT_SECRET, rf"\1{MARK}"),
    (
        "PRIVATE KEY",
        re.compile(r"(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)(?:.*?-----END [^-]{0,60}-----|.*)", re.DOTALL),
        rf"\1{MARK}",
    ),
    ("LS0tLS1CRUdJTi", re.compile(rf"LS0tLS1CRUdJTi(?!BDRVJU){_VALUE}"), MARK),
    *(
        (begin, re.compile(rf"{_START}{pattern}{_VALUE}"), MARK)
        for begin, pattern in (
            ("bGl2ZV", "(?:c2tf|cmtf|cGtf|ZWtf|bHBf)bGl2ZV"),  # Base64 of sk_live_, rk_, pk_, ek_, lp_
            ("dGVzdF", "(?:c2tf|cmtf|cGtf|ZWtf|bHBf)dGVzdF"),  # …_test_
            ("d2hzZWNf", "d2hzZWNf"),  # whsec_
            ("cG9zdGdyZX", "cG9zdGdyZX(?:Nxb[CD]|M6L)"),  # postgresql:, postgresql+, postgres:/
            ("cmVkaXNzOi", "cmVkaXNzOi"),  # rediss:
            ("cmVkaXM6L", "cmVkaXM6L"),  # redis:/
        )
    ),
    ("eyJ", re.compile(rf"{_START}eyJ[A-Za-z0-9_-]{{10,}}(?:\.[A-Za-z0-9_-]*)*"), MARK),
    *((kind, re.compile(rf"{_START}{kind}[A-Z0-9]{{16}}(?![A-Z0-9])"), MARK) for kind in ("AKIA", "ASIA")),
    *((f"{kind}=", re.compile(rf"{_START}{kind}=[0-9a-fA-F]{{16,}}"), f"{kind}={MARK}") for kind in ("v0", "v1")),
    ("v1", re.compile(rf"{_START}(v1a?,)[A-Za-z0-9+/=]{{40,}}"), rf"\1{MARK}"),
    # a part of a password read as a port; what a driver refused to send (asyncpg's DataError); PostgreSQL's rows
    (" value as ", re.compile(r"( value as )(?:'[^\n]*'|\"[^\n]*\")"), rf"\1{MARK}"),
    (" base 10: ", re.compile(r"( base 10: )(?:'[^\n]*'|\"[^\n]*\")"), rf"\1{MARK}"),
    (" argument $", re.compile(r"( argument \$[0-9]+: )[^\n]+"), rf"\1{MARK}"),
    ("Key (", re.compile(r"(Key \([^)\n]*\)=\()[^\n]*\)"), rf"\1{MARK})"),
    ("Failing row", re.compile(r"(Failing row contains \()[^\n]*"), rf"\1{MARK})"),
)
"""A text that each needs, which is found faster than the pattern; the pattern; what stays."""
_CREDENTIALS: Final = re.compile(
    rf"{_START}(?<!_)((?i:Bearer|Basic)[ \t]+)"
    r"(?=\S{0,200}?(?:[0-9=_+/]|[a-z][A-Z]|[A-Z]{2})|\S{24})[A-Za-z0-9._~+/=%-]{6,}"  # else it is a word
)
_ADDRESS: Final = re.compile(r"""://([^\s"<>`]*)""")
_NEXT_ADDRESS: Final = re.compile(r"(?<=[,;|])(?=[A-Za-z][A-Za-z0-9+.-]{0,20}://)")
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:[/?#]|\Z)")
_WEB: Final = ("http", "https", "ws", "wss", "oci", "docker", "s3", "file")
_AT: Final = r"(?:[@\uff20\ufe6b]|\\{1,4}u(?:0040|ff20|fe6b)|\\xef\\x(?:bc\\xa0|b9\\xab))"
_DOT: Final = r"(?:[.\uff0e\u3002\uff61]|\\{1,4}u(?:ff0e|3002|ff61)|\\xef\\xbc\\x8e)"
_LAST: Final = r"(?:xn--[\w-]+|[^\W\d_]{2,})"
_MAIL: Final = re.compile(rf"[\w.\uff0e+!#$^~-][\w.\uff0e+!#$^~'-]*(?P<domain>{_AT}(?:[\w-]+{_DOT})+{_LAST})?")
_ATS: Final = ("@", "\uff20", "\ufe6b", "u0040", "uff20", "ufe6b", "\\xef\\x")
_ENCODED: Final = re.compile(r"""[^\s"'<>&=?]+""")
_OCTET: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_own: dict[str, None] = {}  # what this process must not say is one fact for all of it; the newest are last


def hide(secret: str) -> None:
    """Remove a secret of this process from every text from now on; of an address only its password is one."""
    for value in _passwords(secret) if "://" in secret else {secret, *re.split(r"[\s,]+", secret)}:
        if len(value) >= SHORTEST_OWN_SECRET and len(_redact(value, decode=0)) > len(f"sk_live_{MARK}"):
            _own[value] = _own.pop(value, None)
    for value in [*_own][:-OWN_SECRETS]:
        del _own[value]


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Remove what must not be read from `text`, and the secrets that `hide` was told.

    Args:
        text: of any origin and length.
        secrets: values that are known here: they go wherever they stand, as do the passwords of addresses among them.
    """
    for value in sorted(_parts(secrets), key=len, reverse=True):
        text = text.replace(value, MARK)
    for value in _own:
        text = text.replace(value, MARK)
    return _redact(text, decode=DECODED)


def _redact(text: str, *, decode: int) -> str:
    if "://" in text and "@" in text:
        text = _ADDRESS.sub(_address, text)
    for needed, pattern, replacement in _TEXTS:
        if needed in text:
            text = pattern.sub(replacement, text)
    text = _named(text, text.lower())
    if any(at in text for at in _ATS):
        text = _MAIL.sub(_mail, text)
    text = without_card_numbers(text, mark=MARK)
    if decode and _OCTET.search(text):
        text = _ENCODED.sub(lambda found: _encoded(found[0], decode=decode - 1), text)
    return text


def _named(text: str, lowered: str) -> str:
    if any(mark in text for mark in _PAIR_MARKS) and any(word in lowered for word in _WORDS):
        text = _PAIR.sub(_pair, text)
    return _CREDENTIALS.sub(rf"\1{MARK}", text) if "bearer" in lowered or "basic" in lowered else text


def _encoded(word: str, *, decode: int) -> str:
    """Look at what a percent-encoded word says (RFC 3986, section 2.1), as a parameter of a query does."""
    if "%" not in word:
        return word
    plain = unquote(word)
    clean = _redact(plain, decode=decode)
    return word if clean == plain else quote(clean, safe="/:@*,;()!$~+")


def redact_value(value: Any, *, name: str = "", secrets: Iterable[str] = ()) -> Any:
    """Remove it from a value of JSON's kinds, or from the text of any other, by the name of its field too.

    Pairs of a name and a value (`{"name": "DATABASE_PASSWORD", "value": "…"}`, as Kubernetes has them) count as fields.
    """
    if isinstance(value, Mapping):
        named = value.get("name") if "value" in value else None
        return {
            (redact(key, secrets) if isinstance(key, str) else key): redact_value(
                inner, name=named if key == "value" and isinstance(named, str) else str(key), secrets=secrets
            )
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_value(item, name=name, secrets=secrets) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if name and is_secret_name(name):
        return MARK if value not in ("", b"") else value
    if isinstance(value, int | float):
        return _number(value)
    return redact(value if isinstance(value, str) else str(value), secrets)


def is_secret_name(name: str) -> bool:
    """Tell whether a field, variable or header of this name holds something that must not be read."""
    return _SECRET_NAME.search(name) is not None


def _number(value: float) -> float | str:
    """Remove a card number; a number with a fraction was measured, however many digits it has."""
    if value % 1:
        return value
    text = str(int(value))
    return value if redact(text) == text else MARK


def _parts(secrets: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for value in secrets:
        found |= {value, *value.split(",")}
        if "://" in value:
            found |= _passwords(value)
    return {part for part in found if len(part) >= SHORTEST_SECRET}


def _passwords(url: str) -> set[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return set()
    return {password, unquote(password)} if password else set()


def _address(found: re.Match[str]) -> str:
    before = found.string[max(0, found.start() - 21) : found.start()]
    pieces = _NEXT_ADDRESS.split(found[1])
    return "://" + _without_password(pieces[0], scheme=before) + "".join(map(_whole, pieces[1:]))


def _whole(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{_without_password(rest, scheme=scheme)}"


def _without_password(rest: str, *, scheme: str) -> str:
    """Remove the password before the last `@`: one with `/`, `?` or `@` in it, as people write them, is one too.

    For the web's schemes what reads as a host and a port is none: paths may hold an `@` there.
    """
    user, at, host = rest.rpartition("@")
    web = scheme.lower().endswith(_WEB)
    if not at or (web and _HOST.match(rest)):
        return rest
    name, colon, _ = user.partition(":")
    if colon:
        return f"{name}:{MARK}@{host}"
    return f"{MARK}@{host}" if web else rest


def _pair(found: re.Match[str]) -> str:
    kept = next(text for text in map(found.__getitem__, _PAIR_FORMS) if text)
    value = found[0][len(kept) :].removeprefix("b")
    escape = value[: len(value) - len(value.lstrip("\\"))]
    quote = value[: len(escape) + 1] if value[len(escape) : len(escape) + 1] in {'"', "'"} else ""
    if found["member"] and not quote:  # a number or a list: the member stays JSON
        quote = found["member"].rstrip(" :=,\t\n")[-1]
        return f"{kept}[{quote}{MARK}{quote}]" if value[0] == "[" else f"{kept}{quote}{MARK}{quote}"
    return f"{kept}{quote}{MARK}{quote}"


def _mail(found: re.Match[str]) -> str:
    before = found.string[max(0, found.start() - 3) : found.start()]
    return MARK if found["domain"] and before != "://" else found[0]

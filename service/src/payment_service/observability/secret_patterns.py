"""What secrets and addresses of people look like: the tables that `redaction.py` reads, and that travel with it.

A pattern's first group, where it has one, is what stays: what begins a secret may, of the rest not one character. Each
pattern looks at the text as it came, and none at what another one left of it, so their order means nothing.

Every pattern takes what it has looked at, or looks a bounded way ahead: the time grows with the text, never faster.
Repetitions of choices are possessive (`++`): where they could be given back, each would keep its state, hundreds of
bytes for a character.
"""

from __future__ import annotations

import re
from typing import Final

from .card_numbers import WORD_START as _START
from .mail_in_text import DOT, LAST

# Of a key: URL-safe and plain Base64, percent-encoded, with the escapes of JSON, masked in part.
_VALUE: Final = r"(?:[A-Za-z0-9_+/=%*-]|\\/|\\u00[0-9A-Fa-f]{2})++"

# Ends of names of fields, variables, headers and parameters.
_NAME: Final = (
    r"(?:pass(?:word|wd|phrase|code)|(?<=[_-])pass|pwd|secret(?:[_-]?(?:access[_-]?)?key)?|token|credentials?"
    r"|authorization|cookie"
    r"|(?:api|access|private|signing|encryption|master)[_-]?key(?:[_-]?id)?|client[_-]key[_-]data|signature"
    rf"|{_START}(?:dsn|cv[cv]2?|e?mail|phone|line[12]|postal[_-]?code|ip[_-]address|(?:client|remote|user)[_-](?:ip|addr)"
    r"|(?:customer|first|last|full|cardholder|given|family)[_-]name|x-forwarded-for|x-real-ip))"
    r"(?:[_-]?(?:old|new|current|previous|next|[0-9]{1,3}))?"
)
# The end of a quoted text: of JSON and Python, doubled in SQL and libpq, JSON within JSON, cut short with its line.
_QUOTED: Final = (
    r"""(?:"{{3}}.*?"{{3}}|"(?:[^"\\]|\\.)*+"|'(?:[^'\\]++|\\.|'')*+'|'(?:(?:[^'\\]++|\\.)*+'')++"""
    r"""|(?P<{0}>\\{{1,7}}["']).*?(?<!\\)(?P={0})|\\{{0,7}}["'][^\n]*)"""
)
_LIST: Final = r"""\[(?=\s*["'])(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|[^\]"'])*+\]?"""
_PREFIX: Final = "[bfru]{0,2}"
"""Of texts in Python."""
_CHARACTER: Final = r"""(?:\\(?!["'])|"(?=[^\s,}\]):;])|[^\s"\\])"""
_BARE: Final = f"{_CHARACTER}++"
# What a value looks like, where somebody is told what to send: `Authorization: Bearer lp_…`.
_PATTERN: Final = r"(?:Bearer |Basic )?(?:[a-z]{2,5}_(?:live_|test_)?)?…"
_ADDRESSES: Final = r"(?=[0-9A-Fa-f.:%]*[.:])[0-9A-Fa-f.:%]+(?:,[ \t]*(?=[0-9A-Fa-f.:%]*[.:])[0-9A-Fa-f.:%]+)++"
# Of headers (iana.org/assignments/http-authschemes), and what others call theirs.
_SCHEME: Final = (
    r"(?:(?:Bearer|Basic|Token|Digest|DPoP|Negotiate|NTLM|OAuth|PrivateToken|vapid|HOBA|GNAP|Mutual|Concealed|ApiKey"
    r"|SCRAM-SHA-[0-9]+|AWS4-HMAC-SHA256)[ \t]+)?"
)
_BLOCK: Final = r"[|>][-+1-9]{0,2}[ \t]*(?:\n[ \t]+[^\n]*)++"
"""Of YAML: as many lines as are indented."""
_MAPPING: Final = r"""\{(?=\s*["'])(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|[^}"'])*+\}?"""
# What reads on in plain words is a sentence: `STRIPE_SECRET_KEY: must begin with …`.
_SENTENCE: Final = r"[ \t]+[a-z]+(?:'[a-z]+)?[,;]?[ ]+[a-z(]"
_BEGINNINGS: Final = (
    *("pahorw", "sei", "to", "caloruv", "acpu", "emn", "ma", "ds"),
    *("lai", "idp", "re", "us", "faiu", "gi", "na", "x-"),
)
"""What names begin with, a first letter and all second ones that it has: most places of a text need no other look."""
_FIRSTS: Final = "".join(word[0] + word[0].upper() for word in _BEGINNINGS)
_PAIRS: Final = "|".join(f"[{word[0]}{word[0].upper()}][{word[1:].upper()}{word[1:]}]" for word in _BEGINNINGS)
_BEGINNING: Final = rf"(?-i:(?=[?&;(\[\"'{_FIRSTS}-])(?=[?&;(\[\"'-]|{_PAIRS}))"
# Another pair within a value that is not quoted: token=…,password='… …'.
_WITHIN: Final = (
    rf"{_BEGINNING}{_NAME}[ \t]*[=:](?:\"(?:[^\"\\]|\\.)*+\"|'(?:[^'\\]|\\.)*+'|[\"'][^\n]*"
    r"|(?P<within>\\{1,7}[\"']).*?(?<!\\)(?P=within))"
)
_FORMS: Final = (
    # "PASSWORD=… …", quoted whole as arguments of commands are
    rf"(?P<argument>(?<!\\)\"-{{0,2}}[\w.-]{{0,40}}?{_NAME}=)(?!\\*[\"'])(?:[^\"\\\n]|\\.)*+",
    rf"(?P<single>(?<!\\)'-{{0,2}}[\w.-]{{0,40}}?{_NAME}=)(?!\\*[\"'])(?:[^'\\\n]|\\.)*+",
    # ?password=… &sslpassword=…
    rf"(?P<query>[?&;][\w.%-]{{0,40}}?{_NAME}=)(?!\\*[\"'])(?:\\(?![\"'])|[^&#\s\"<>\\])*+",
    # "password": "…", {"name": "DATABASE_PASSWORD", "value": "…"}
    (
        rf"(?P<member>{_NAME}s?\\*[\"'](?:[ \t]*(?:=>|[:=])\s*|\s*,\s*\\*[\"']value\\*[\"']\s*:\s*)"
        r"(?!\s*\{|(?-i:null|true|false|None|True|False)\b))"
        rf"(?:{_PREFIX}{_QUOTED.format('member_quote')}|{_LIST}|[^\s,}}\]]+)"
    ),
    # (b"authorization", b"…"): a pair of its own, not two words of a list; "--password", "…"
    (
        r"(?P<header>(?:[(\[]b?\\*[\"'][\w-]{0,40}?(?:authorization|signature|cookie|api.key|forwarded-for|real-ip)"
        rf"|[\"']--[\w-]{{0,24}}?{_NAME})\\*[\"'],\s*)"
        rf"(?:{_PREFIX}{_QUOTED.format('header_quote')}|{_LIST}|[^\s,}}\]]+)"
    ),
    # name: DATABASE_PASSWORD, and in the next line value: …
    (
        rf"(?P<variable>name:[ \t]*[\"']?[\w.-]{{0,60}}?{_NAME}[\"']?[ \t]*\n[ \t]*value:[ \t]*)"
        rf"(?:{_QUOTED.format('variable_quote')}|{_BLOCK}|[^\n]+)"
    ),
    # PASSWORD '…' and IDENTIFIED BY '…' of SQL, with escapes E'…' and U&'…'
    rf"(?P<sql>(?:password|identified[ \t]+by)[ \t]+(?:e|u&)?)(?=\\*'){_QUOTED.format('sql_quote')}",
    # ('password', '…'): these two and nothing else, for a list of words may hold any
    (
        rf"(?P<couple>\(b?\\*[\"'][\w.-]{{0,40}}?{_NAME}\\*[\"'],[ \t]{{0,3}}){_PREFIX}(?:"
        r"\"(?:[^\"\\]|\\.){0,1000}+\"|'(?:[^'\\]|\\.){0,1000}+'"
        r"|(?P<couple_quote>\\*[\"'])(?:(?!(?P=couple_quote),).){0,1000}?(?P=couple_quote))(?=\))"
    ),
    # <password>…</password>
    rf"(?P<element>{_NAME}>)[^<]{{1,1000}}+(?=</)",
    # --token …
    rf"(?P<option>--[\w-]{{0,24}}?{_NAME}[ \t]+)(?!-)(?:{_QUOTED.format('option_quote')}|{_BARE})",
    # X-Forwarded-For: …, … and Cookie: a=…; b=…
    rf"(?P<addresses>x-forwarded-for[ \t]*[:=][ \t]*){_ADDRESSES}",
    rf"(?P<cookies>cookie2?[ \t]*:[ \t]*(?=[^\s=;,\"']+=)){_BARE}(?:(?<=;)[ \t]+(?=[^\s=;:,\"']+=){_BARE})*+",
    # password=…, PGPASSWORD: …, Authorization: Bearer …
    (
        rf"(?P<pair>{_NAME}(?:s(?=[ \t]*=[ \t]*[\[{{]))?[ \t]*"
        rf"(?:=>(?=[ \t\\\"'])|==(?=[ \t])|:?=|:(?!(?-i:{_SENTENCE})))[ \t]*)"
        rf"(?!{_PATTERN}|(?-i:Authorization: ))"  # the name of a header, in help; what follows it is looked at again
        rf"{_SCHEME}(?:{_PREFIX}{_QUOTED.format('pair_quote')}|{_LIST}|{_MAPPING}|{_BLOCK}|(?:{_WITHIN}|{_CHARACTER})++)"
    ),
)
PAIR: Final = re.compile(rf"{_BEGINNING}(?:{'|'.join(_FORMS)})", re.IGNORECASE | re.DOTALL)
PAIR_MARKS: Final = ("=", ":", '"', "'", "--", "</")
PAIR_FORMS: Final = (
    "argument",
    "single",
    "variable",
    "query",
    "member",
    "header",
    "sql",
    "couple",
    "element",
    "option",
    "addresses",
    "cookies",
    "pair",
)
PAIR_WORDS: Final = (
    *(
        "pass",
        "pwd",
        "identified",
        "cvc",
        "cvv",
        "secret",
        "token",
        "credential",
        "auth",
        "cookie",
        "signature",
        "key",
        "dsn",
        "mail",
        "phone",
    ),
    *("line", "postal", "_name", "-name", "ip_", "ip-", "_ip", "-ip", "addr", "x-"),
)
"""One of them is in each name."""
SECRET_NAME: Final = re.compile(rf"{_NAME}s?\Z", re.IGNORECASE)

_KEY: Final = re.compile(rf"(?=[elprs][kp]_)({_START}(?:[srpe]k_(?:test|live|org)|lp_(?:test|live))_){_VALUE}")
_CLIENT_SECRET: Final = re.compile(  # of the kinds of today, and of any other: an id of Stripe's form, then its secret
    rf"({_START}(?:(?:pi|seti|setatt|cs|src|vs|in|cuss|accs|fcsess)(?:_(?:test|live))?(?:_[A-Za-z0-9]+)?"
    rf"|[a-z]{{2,10}}(?:_(?:test|live))?_(?=[a-z]{{0,40}}[A-Z0-9])[A-Za-z0-9]{{12,}})(?:_client)?_secret_){_VALUE}"
)
TOKENS: Final = (
    *((f"{mode}_", _KEY) for mode in ("_test", "_live", "_org")),
    ("whsec_", re.compile(rf"({_START}whsec_){_VALUE}")),
    ("lp_", re.compile(rf"({_START}lp_)[A-Za-z0-9_-]{{16,}}")),
    ("_secret_", _CLIENT_SECRET),
    ("eyJ", re.compile(rf"{_START}eyJ[A-Za-z0-9_-]{{10,}}(?:\.+[A-Za-z0-9_-]+)*+")),
    (
        "PRIVATE KEY",
        re.compile(
            r"(-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----)(?:.*?-----END [^-]{0,60}-----|.*)", re.DOTALL
        ),
    ),
    ("SCRAM-SHA-", re.compile(rf"({_START}SCRAM-SHA-[0-9]{{1,3}}\$)[^\s\"',}}\])]+")),
    ("LS0tLS1CRUdJTi", re.compile(rf"LS0tLS1CRUdJTi(?!BDRVJU){_VALUE}")),
    *(
        (begin, re.compile(rf"{_START}{pattern}{_VALUE}"))
        for begin, pattern in (
            ("bGl2ZV", "(?:c2tf|cmtf|cGtf|ZWtf|bHBf)bGl2ZV"),  # Base64 of sk_live_, rk_, pk_, ek_, lp_
            ("dGVzdF", "(?:c2tf|cmtf|cGtf|ZWtf|bHBf)dGVzdF"),  # …_test_
            ("d2hzZWNf", "d2hzZWNf"),  # whsec_
            ("cG9zdGdyZX", "cG9zdGdyZX(?:Nxb[CD]|M6L)"),  # postgresql:, postgresql+, postgres:/
            ("cmVkaXNzOi", "cmVkaXNzOi"),  # rediss:
            ("cmVkaXM6L", "cmVkaXM6L"),  # redis:/
        )
    ),
    (
        '"@',
        re.compile(rf'(?<![\w\\])"\w[^"\n]{{0,63}}"@(?:(?:[\w-]+{DOT})+{LAST}|\[[^\]\s"]{{2,60}}\])'),
    ),  # "a person"@host
    *((kind, re.compile(rf"{_START}{kind}[A-Z0-9]{{16}}(?![A-Z0-9])")) for kind in ("AKIA", "ASIA")),
    *((f"{kind}=", re.compile(rf"({_START}{kind}=)[0-9a-fA-F]{{16,}}")) for kind in ("v0", "v1")),
    ("v1", re.compile(rf"({_START}v1a?,)[A-Za-z0-9+/=]{{40,}}")),
    # a part of a password read as a port; what a driver refused to send (asyncpg's DataError); PostgreSQL's rows
    (" value as ", re.compile(r"( value as )(?:'[^\n]*'|\"[^\n]*\")")),
    (" base 10: ", re.compile(r"( base 10: )(?:'[^\n]*'|\"[^\n]*\")")),
    (" argument $", re.compile(r"( argument \$[0-9]+: )[^\n]+")),
    ("Key (", re.compile(r"(Key \([^)\n]*\)=\()[^\n]*(?=\))")),
    ("Failing row", re.compile(r"(Failing row contains \()[^\n]*")),
)
"""A text that each needs, which is found faster than the pattern; the pattern."""
CREDENTIALS: Final = re.compile(
    rf"({_START}(?<!_)(?i:Bearer|Basic)[ \t]+)"
    r"(?=\S{0,200}?(?:[0-9=_+/]|[a-z][A-Z]|[A-Z]{2})|\S{24})[A-Za-z0-9._~+/=%-]{6,}"  # else it is a word
)
# As parameters of an address, and as the options that some drivers put behind commas.
PARAMETER: Final = re.compile(
    rf"([?&;,][\w.%-]{{0,40}}?{_NAME}=(?:(?<!pwd=)|(?<=[?&;,]pwd=)))(?:'[^'\n]*'?|(?:\\(?![\"'])|[^&#\s\"<>\\])*+)",
    re.IGNORECASE,
)

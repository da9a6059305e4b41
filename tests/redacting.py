"""Makes secrets, card numbers and addresses of people as they really look, and puts them where they really stand.

Not one character of a secret survives exactly when the redacted text does not depend on it. So each case is a form of
text with a gap: filled with two secrets of a kind, both must be redacted to the same text.
"""

from __future__ import annotations

import base64
import json
import random
import re
import string
import traceback
from collections import Counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from tests.cards import card, grouped

from payment_service.observability.redaction import MARK, redact, redact_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Kind = Callable[[random.Random], str]

ALPHANUMERIC: Final = string.ascii_letters + string.digits
URL_SAFE: Final = ALPHANUMERIC + "-_"
HEX: Final = "0123456789abcdef"
IN_ADDRESSES: Final = ALPHANUMERIC + "-._~!$&()*+,;=:/@?#%"
"""What people put into addresses without encoding it, legal or not."""
PASSWORDS: Final = ALPHANUMERIC + "!#$%&()*+,-./:;<=>?@[]^_{|}~"


def _some(alphabet: str, shortest: int, longest: int | None = None) -> Kind:
    return lambda chance: "".join(chance.choices(alphabet, k=chance.randint(shortest, longest or shortest)))


def _base64(octets: int) -> Kind:
    return lambda chance: base64.b64encode(chance.randbytes(octets)).decode()


def _token(octets: int) -> Kind:
    return lambda chance: base64.urlsafe_b64encode(chance.randbytes(octets)).decode().rstrip("=")


def _card(separator: str, size: int = 4) -> Kind:
    return lambda chance: grouped(card(chance), separator, size)


def _mail(chance: random.Random) -> str:
    local = chance.choice(string.ascii_letters) + _some(ALPHANUMERIC + "._+-", 1, 20)(chance) + "x"
    domain = ".".join(_some(string.ascii_lowercase + string.digits, 2, 10)(chance) for _ in range(chance.randint(1, 3)))
    return f"{local}@{domain}.{chance.choice(['com', 'example', 'co.uk', 'museum', 'xn--p1ai'])}"


def _wide(chance: random.Random) -> str:
    """Return an address whose host has full-width points."""
    local, _, host = _mail(chance).partition("@")
    return f"{local}\uff20{host.replace('.', chr(0xFF0E))}"


def _jwt(chance: random.Random) -> str:
    parts = [base64.urlsafe_b64encode(chance.randbytes(octets)).decode().rstrip("=") for octets in (24, 90, 64)]
    return "eyJ" + ".".join(parts)


def _pem(chance: random.Random) -> str:
    body = base64.encodebytes(chance.randbytes(chance.randint(100, 900))).decode()
    return f"-----BEGIN RSA PRIVATE KEY-----\n{body}-----END RSA PRIVATE KEY-----"


def _after(prefix: str, tail: Kind, suffix: str = "") -> Kind:
    return lambda chance: prefix + tail(chance) + suffix


def _encoded(make: Kind) -> Kind:
    return lambda chance: base64.b64encode(make(chance).encode()).decode()


KINDS: Final[dict[str, Kind]] = {
    **{
        f"{name}_{mode}": _after(f"{name}_{mode}_", _some(ALPHANUMERIC, 24, 99))
        for name in ("sk", "rk", "pk")
        for mode in ("test", "live")
    },
    "key of URL-safe characters": _after("sk_live_", _some(URL_SAFE, 16, 60)),
    "ephemeral key": _after("ek_live_", _base64(60)),
    "whsec of Stripe": _after("whsec_", _some(ALPHANUMERIC, 32)),
    "whsec of Standard Webhooks": _after("whsec_", _base64(32)),
    "API key": _after("lp_", _token(32)),
    "API key of live mode": _after("lp_live_", _some(ALPHANUMERIC, 32, 48)),
    "API key of test mode": _after("lp_test_", _some(ALPHANUMERIC, 32, 48)),
    "client secret of a payment": _after("pi_3NabcdEFGH0123_secret_", _some(ALPHANUMERIC, 25)),
    "client secret of a set-up": _after("seti_1NabcdEFGH0123_secret_", _some(ALPHANUMERIC, 28, 34)),
    "client secret of a kind that is new": _after("cos_1NabcdEFGH0123_secret_", _some(ALPHANUMERIC, 25)),
    "client secret of a checkout": _after("cs_test_a1B2c3_secret_", lambda chance: quote(_base64(90)(chance), safe="")),
    "authorization header, bearer": _after("Authorization: Bearer ", _token(24)),
    "authorization header, basic": _after("authorization: Basic ", _base64(30)),
    "authorization header, opaque": _after("Authorization: ", _some(PASSWORDS, 12, 40)),
    "authorization header, another scheme": _after("Authorization: Negotiate ", _base64(60)),
    "bearer": _after("Bearer ", _some(ALPHANUMERIC + "._-", 24, 60)),
    "signature": _after("Stripe-Signature: t=1492774577,v1=", _some(HEX, 64)),
    "signature alone": _after("t=1492774577,v1=", _some(HEX, 64)),
    "signature of Standard Webhooks": _after("webhook-signature: v1,", _base64(32)),
    "postgresql": _after("postgresql://payments:", _some(IN_ADDRESSES, 6, 40), "@database.example:5432/payments"),
    "postgresql, slashes escaped": _after(r"postgresql:\/\/a:", _some(ALPHANUMERIC + "-._/", 6, 40), r"@db.example\/x"),
    "postgresql, apostrophe": _after("postgresql://a:o'", _some(IN_ADDRESSES + "'", 6, 40), "@db.example/x"),
    "asyncpg": _after("postgresql+asyncpg://owner:", _some(IN_ADDRESSES, 1, 40), "@[::1]/payments?ssl=require"),
    "rediss": _after("rediss://:", _some(IN_ADDRESSES, 6, 40), "@cache.example:6379/0"),
    "sentinels": _after("redis://:", _some(URL_SAFE + "/", 6, 40), "@a:26379,redis://b:26379/0"),
    "web": _after("https://user:", _some(string.ascii_letters + "-_~!$*/", 8, 30), "@proxy.example:3128/"),
    "amqp, encoded": _after("amqps://u:", lambda chance: quote(_some(PASSWORDS, 8, 30)(chance), safe=""), "@mq/v"),
    "password of a query": _after("postgresql://db.example/x?user=a&password=", _some(URL_SAFE + "%+", 6, 40)),
    "sslpassword": _after("host=db sslpassword=", _some(PASSWORDS, 6, 40)),
    "libpq": _after("host=db password=", _some(PASSWORDS, 6, 40)),
    "PGPASSWORD": _after("PGPASSWORD=", _some(PASSWORDS, 6, 40)),
    "member": _after('{"user": "a", "client_secret": "', _some(PASSWORDS + " ", 6, 40), '"}'),
    "member of a repr": _after("{'api_key': '", _some(PASSWORDS + " ", 6, 40), "'}"),
    "variable of Kubernetes": _after('{"name": "DATABASE_PASSWORD", "value": "', _some(PASSWORDS, 6, 40), '"}'),
    "admin token": _after("PAYMENTS_ADMIN_TOKEN=", _token(32)),
    "SECRET_KEY": _after("SECRET_KEY=", _some(URL_SAFE, 32, 64)),
    "token of a kubeconfig": _after("    token: ", _jwt),
    "JWT": _jwt,
    "private key": _pem,
    "private key of a kubeconfig": _after("client-key-data: LS0tLS1CRUdJTiBSU0Eg", _base64(300)),
    "access key": lambda chance: "AKIA" + _some(string.ascii_uppercase + string.digits, 16)(chance),
    "secret access key": _after("aws_secret_access_key = ", _base64(30)),
    "role": _after("ALTER ROLE payments PASSWORD '", _some(PASSWORDS + " ", 6, 40), "'"),
    "verifier of a role": _after("SCRAM-SHA-256$4096:", _base64(48)),
    "role, with escapes": _after("ALTER ROLE payments PASSWORD E'", _some(PASSWORDS + " ", 6, 40), "'"),
    "argument of a query": _after(
        "invalid input for query argument $2: '", _some(string.ascii_letters + " '", 3, 30), "' (expected int, got str)"
    ),
    **{
        f"{what} in Base64": _encoded(_after(begin, _some(ALPHANUMERIC, 16, 60), end))
        for what, begin, end in (
            ("key", "sk_live_", ""),
            ("restricted key", "rk_test_", ""),
            ("API key", "lp_live_", ""),
            ("webhook secret", "whsec_", ""),
            ("address of a database", "postgresql://payments:", "@db.example/payments"),
            ("address for asyncpg", "postgresql+asyncpg://payments:", "@db.example/payments"),
            ("address of a cache", "rediss://:", "@cache.example/0"),
        )
    },
    "couple": lambda chance: repr(("db_password", "\"'" + _some(ALPHANUMERIC + " \"'\\", 8, 40)(chance))),
    "option": _after("backup --password ", _some(URL_SAFE.replace("-", "") + "/+", 8, 30)),
    "port of a password": _after("Port could not be cast to integer value as '", _some(URL_SAFE, 2, 10), "'"),
    "row": _after("DETAIL:  Key (reference)=(", _some(ALPHANUMERIC + " .", 3, 30), ") already exists."),
    "mail": _mail,
    "mail of all characters": lambda chance: "x" + "x&/*`{|}"[chance.randrange(8)] + _mail(chance),
    "mail of a list": lambda chance: f"list+{_mail(chance).replace('@', '=')}@lists.example",
    "mail, full width": lambda chance: _mail(chance).replace("@", "\uff20"),
    "mail, full width throughout": _wide,
    "mail, small": lambda chance: _mail(chance).replace("@", "\ufe6b"),
    "mail in a query": lambda chance: "https://shop.example/?customer=" + quote(_mail(chance), safe="") + "&x=1",
    "address of a caller": _after(
        "X-Forwarded-For: ", lambda chance: ".".join(str(chance.randint(1, 254)) for _ in range(4))
    ),
    "address of a caller behind proxies": _after(
        "X-Forwarded-For: 203.0.113.7, ", lambda chance: ".".join(str(chance.randint(1, 254)) for _ in range(4))
    ),
    "header of a scope": _after("(b'x-forwarded-for', b'", lambda chance: f"198.51.100.{chance.randint(1, 254)}", "')"),
    "second cookie": _after("Cookie: theme=dark; session=", _token(24)),
    "name of a caller": _after('{"cardholder_name": "', _some(string.ascii_letters + " ", 6, 30), '"}'),
    "card": _card(""),
    "card in groups": _card(" "),
    "card with dashes": _card("-"),
    "card with points": _card("."),
    "card with underscores": _card("_"),
    "card, a digit a group": _card(" ", 1),
    "card within a word": lambda chance: f"x{card(chance)}y",
}


def _raised(text: str) -> str:
    try:
        try:
            raise ValueError(text)
        except ValueError as error:
            raise RuntimeError("it failed") from error
    except RuntimeError as error:
        return "".join(traceback.format_exception(error))


PLACES: Final[dict[str, Callable[[str], Any]]] = {
    "alone": lambda text: text,
    "at the start": lambda text: f"{text} was sent",
    "at the end": lambda text: f"what was sent: {text}",
    "quoted": lambda text: f'got "{text}" instead' if '"' not in text else f"got {text} instead",
    "in single quotes": lambda text: f"got '{text}' instead" if "'" not in text else f"got {text} instead",
    "in brackets": lambda text: f"refused ({text}), [{text}]; {text}.",
    "in JSON": lambda text: json.dumps({"note": text, "customer": "cus_1"}),
    "in compact JSON": lambda text: json.dumps({"note": text, "b": [1]}, separators=(",", ":")),
    "in JSON in JSON": lambda text: json.dumps({"body": json.dumps({"note": text, "n": 1})}),
    "in a query": lambda text: f"GET https://api.example/x?a=1&note={quote(text, safe='')}&b=2 failed",
    "in a repr": lambda text: repr({"note": f"\n{text}\n"}),
    "in the repr of bytes": lambda text: repr(text.encode()),
    "in an exception": _raised,
    "twice in a line": lambda text: f"{text} {text}",
    "in a list": lambda text: f"{text}, {text}",
    "in another line": lambda text: f"first\n{text}\nlast",
    "in fields": lambda text: {"event": "failed", "error": text, "nested": {"list": [{"note": text}]}},
}
FIELDS: Final = (
    "password",
    "client_secret",
    "STRIPE_SECRET_KEY",
    "secretKey",
    "authorization",
    "X-Api-Key",
    "admin_token",
    "email",
    "client_ip",
)
"""Names of fields whose values go, whatever they look like."""


def redacted(value: Any) -> str:
    """Return what a text or the fields of a line become; neighbours that went together count as one."""
    text = redact(value) if isinstance(value, str) else json.dumps(redact_value(value))
    return re.sub(r"\*{3}(?:(?:[ -]|, )?\*{3})+", MARK, text)


def survivors(kind: str, *, examples: int, seed: int = 0) -> Iterator[str]:
    """Give a description of each secret of which something survives: `examples` for each place.

    What stays of a text is the same for all secrets of a kind, so it is of the place. More may go: the end of a random
    value can read as a name (`…dsN4=`), and what follows it is hidden as the value of that.
    """
    chance, make = random.Random(f"{seed}:{kind}"), KINDS[kind]
    for place, put in PLACES.items():
        usual = Counter(redacted(put(make(chance))) for _ in range(7)).most_common(1)[0][0]
        for _ in range(examples):
            secret = make(chance)
            found = redacted(put(secret))
            if not all(piece in usual for piece in found.split(MARK)):
                yield f"{kind}, {place}: {put(secret)!r} became {found!r}"

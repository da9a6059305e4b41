"""Nothing secret survives redaction, and nothing else is lost."""

from __future__ import annotations

import sys
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from tests.redacting import FIELDS, KINDS, survivors

from payment_service.config.secrets import Secret
from payment_service.observability.redaction import MARK, is_secret_name, redact, redact_value

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = 10
"""Of each kind in each place; `make soak ONLY=redaction` takes ten thousand."""
MEBIBYTE = 1024 * 1024
SIZE = 65_536


@pytest.mark.parametrize("kind", KINDS)
def test_of_no_secret_a_character_survives(kind: str) -> None:
    assert list(survivors(kind, examples=SAMPLES)) == []


def test_a_filter_that_keeps_one_character_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.redacting.redact", lambda text: text[:-1] if text.startswith("sk_live_") else text)
    assert list(survivors("sk_live", examples=1))


@pytest.mark.parametrize(
    "text",
    [
        "sk_live_abc",
        "postgresql://user:pa/ss@host/db?password=x&sslmode=require",
        '{"password": "x", "note": "4242 4242 4242 4242 of grace@example.com"}',
        "Authorization: Bearer abcdef1234, Stripe-Signature: t=1,v1=00112233445566778899aabbccddeeff",
        "GET /x?note=postgresql%3A%2F%2Fu%3Ap%40h%2Fd",
        "Key (email)=(grace@example.com) already exists.",
    ],
)
def test_what_is_redacted_stays_the_same_when_it_is_redacted_again(text: str) -> None:
    once = redact(text)
    assert once != text
    assert redact(once) == once


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (r'{"url": "postgresql:\/\/a:{}@db\/x"}', r'{"url": "postgresql:\/\/a:***@db\/x"}'),
        ("https://{}:@api.example/x", "https://***@api.example/x"),
        ("Authorization: ApiKey {}", "Authorization: ***"),
        ("'password' => '{}'", "'password' => '***'"),
        ("password => {}, next", "password => *** next"),
        ("credentials={}", "credentials=***"),
        ("SMTP_PASS={}", "SMTP_PASS=***"),
        (
            "[('user', 'a'), ('db_password', '{} one'), ('b', 'c')]",
            "[('user', 'a'), ('db_password', '***'), ('b', 'c')]",
        ),
        (r"""('password', 'it\'s "{}" one')""", "('password', '***')"),
        (r"""{"note": "('password', \"it's {}\")"}""", r"""{"note": "('password', \"***\")"}"""),
        ('("password", "{} one")', '("password", "***")'),
        ('["Authorization", "{} one"]', '["Authorization", "***"]'),
        ("to rock&{}@mail.example and a/{}@mail.example", "to *** and ***"),
        ("from list+7-{}=mail.example@lists.example", "from ***"),
        ("to /G=Grace/S={}/@gateway.example, <to={}@mail.example>", "to ***, <***>"),
        ("GET /customers?mail_={}@mail.example&b=2", "GET /customers?mail_=***&b=2"),
        ("to={}@mail.example /x/{}@mail.example", "to=*** /x/***"),
        ("<a:password>{} one</a:password><b>2</b>", "<a:password>***</a:password><b>2</b>"),
        ("cvc: {}", "cvc: ***"),
        ("secrets={'a': '{}', 'b': 1}, c=2", "secrets=***, c=2"),
        ("password: |\n  one\n  {}\nuser: a", "password: ***\nuser: a"),
        ("CREATE USER a IDENTIFIED BY '{}'", "CREATE USER a IDENTIFIED BY '***'"),
        ("ALTER ROLE a PASSWORD U&'{}'", "ALTER ROLE a PASSWORD U&'***'"),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----\n{}", "-----BEGIN PGP PRIVATE KEY BLOCK-----***"),
        ("to {}@[192.0.2.7] and {}@[IPv6:fd00::17]", "to *** and ***"),
        ('to "{} Hopper"@mail.example', "to ***"),
        ("f(token=a,password='one {}', b)", "f(token=*** b)"),
        ('{token:abc,password:"one {}"}', "{token:***"),
        (r"token=a,password=\"one {}\" b", "token=*** b"),
        ('GET /?a=1&password="one {}"', 'GET /?a=1&password="***"'),
        ('backup --password "one {}" --b', 'backup --password "***" --b'),
        ("['backup', '--password', '{}', 'x']", "['backup', '--password', '***', 'x']"),
        ('["PASSWORD=one {}", "B=1"]', '["PASSWORD=***", "B=1"]'),
        ("run -e 'PASSWORD=one {}' b", "run -e 'PASSWORD=***' b"),
        ("password=rb'one {}', b", "password='***', b"),
        ('password="""one {}""", b', 'password="***", b'),
        ("- name: DATABASE_PASSWORD\n  value: one {}\n- name: B", "- name: DATABASE_PASSWORD\n  value: ***\n- name: B"),
    ],
)
def test_a_secret_goes_in_forms_that_others_write(text: str, left: str) -> None:
    assert redact(text.replace("{}", "Tr0ub4dor")) == left


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", ["Tr0ub4dor&3", 1234, b"bytes", ["one", "two"], {"id": "cus_1", "note": "x"}])
def test_fields_named_like_secrets_lose_their_values_only(name: str, value: object) -> None:
    found = redact_value({name: value, "id": "cus_1"})
    assert found == {
        name: value if isinstance(value, dict) else [MARK] * 2 if value == ["one", "two"] else MARK,
        "id": "cus_1",
    }


NAMES = (
    "password passwd passphrase passcode pwd secret secret_key secret_access_key token credential authorization cookie"
    " api_key access_key private_key signing_key encryption_key master_key access_key_id client_key_data signature dsn"
    " email mail phone line1 postal_code ip_address client_ip remote_addr user_ip customer_name first_name last_name"
    " full_name cardholder_name given_name family_name x-forwarded-for x-real-ip token_old secret_2"
)


@pytest.mark.parametrize("name", NAMES.split())
@pytest.mark.parametrize(
    "form", ["{}=Tr0ub4dor", '"{}": "Tr0ub4dor"', "?{}=Tr0ub4dor", "--{} Tr0ub4dor", "{}: Tr0ub4dor"]
)
def test_the_value_of_each_name_goes_in_each_form(name: str, form: str) -> None:
    for spelled in (name, name.upper(), name.title()):
        assert redact(f"got {form}".format(spelled)) == f"got {form.replace('Tr0ub4dor', MARK)}".format(spelled)


def test_pairs_of_name_and_value_are_fields() -> None:
    found = redact_value([{"name": "DATABASE_PASSWORD", "value": "hunter2"}, {"name": "LOG_LEVEL", "value": "INFO"}])
    assert found == [{"name": "DATABASE_PASSWORD", "value": MARK}, {"name": "LOG_LEVEL", "value": "INFO"}]


@pytest.mark.parametrize("gap", ["\u00a0", "\u202f", "\u2011", "\u2013"])
def test_a_card_number_goes_however_people_type_its_gaps(gap: str) -> None:
    assert redact(f"paid with {gap.join(['4242'] * 4)} yesterday") == f"paid with {MARK} yesterday"


def test_a_measured_number_is_no_card_number() -> None:
    assert redact_value({"ratio": 0.4242424242424242, "card": 4242424242424242, "float": 4242424242424242.0}) == {
        "ratio": 0.4242424242424242,
        "card": MARK,
        "float": MARK,
    }


def test_values_that_are_known_go_wherever_they_stand() -> None:
    url = "postgresql://app:sw%2Fordfish@db/x"
    assert redact("the password sw/ordfish, as sw%2Fordfish, of x; and kept2", [url, "kept2,other-secret"]) == (
        "the password ***, as ***, of x; and kept2"
    )


def test_what_a_secret_holds_goes_wherever_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "SECRET_KEY"
    path.write_text("correct horse,battery-staple-7")
    assert redact("battery-staple-7") == "battery-staple-7"
    secret = Secret(path=path)
    Secret("postgresql://payments:sw0rd%2Ffish-4711@db/x")
    said = "signed with battery-staple-7 on /run/battery-staple-7?x=sw0rd/fish-4711; postgresql://payments@db/x"
    assert redact(said) == f"signed with {MARK} on /run/{MARK}?x={MARK}; postgresql://payments@db/x"
    path.write_text("trombone-and-drum")
    secret._checked = 0
    assert secret.reveal() == "trombone-and-drum"
    assert redact("trombone-and-drum, battery-staple-7") == f"{MARK}, {MARK}"


def test_words_and_kinds_of_keys_stay_though_a_secret_is_one() -> None:
    Secret("payments")
    Secret("sk_test_0123456789")
    assert redact("payments, with sk_test_0123456789") == f"payments, with sk_test_{MARK}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "subscription lps_01a20cd92f in 42 ms for cus_NffrFeUfNV2Hib, price_1MoBy5LkdIwHu7ixZhnattbh, in_1MtHbELkdIw",
        "lpk_0192b1f0c3a27d3e8f00112233445566 lpc_0192b1f0c3a27d3e8f00112233445566 lpo_0192b1f0c3a27d3e8f0011223344556",
        "pi_3MtwBwLkdIwHu7ix28a3tqPa seti_1Mm8s8LkdIwHu7ix0OXBfTRG cs_test_a1b2C3 evt_1NG8Du2eZvKYlo2CUI79vXWy",
        "request_id=4f6c2d1e-7b3a-4c5d-9e8f-0a1b2c3d4e5f route=/api/v1/subscriptions/{id} status=409 ms=12.75",
        "2026-11-25T12:00:00.123456Z shop-api-9f3c1a2b 10.244.0.17:80 [fd00::17]:80 exit code 137 after 1732536000 s",
        "2026-11-25 2026-11-28 2026-12-01 1732536000123 1732536000123456 1732536000123456789",
        "postgresql://payments@db.shop.svc.cluster.local:5432/payments?sslmode=verify-full redis://cache:6379/0",
        "https://api.stripe.com/v1/customers?limit=100&starting_after=cus_1 oci://registry:5000/lean/chart@sha256:0a1b",
        "https://packages.example:8443/@scope/name/-/name-1.2.3.tgz and image@sha256:deadbeef, actions/checkout@v4.1.2",
        "STRIPE_SECRET_KEY: must begin with sk_test_ or rk_test_; SECRET_KEY_FILE=/run/secrets/payments/SECRET_KEY",
        'secret "shop-payments" not found; secrets is forbidden: cannot get resource "secrets" in the namespace "shop"',
        "the token is missing, the password of the role payments was replaced, and the secret has no such key",
        "password authentication failed for user payments; Basic authentication is off; bearer of bad news",
        '{"token": null, "secret": false, "secrets": {"version": 3}, "idempotency_key": "order-17", "key": "a"}',
        "Send a valid API key: Authorization: Bearer lp_…; lp_live_…, Authorization: Bearer …, PGPASSWORD=…",
        "Give a key as a header, Authorization: Bearer lp_…; token: Authorization: Bearer …",
        "idempotency_key=order-17 tokens=512 secret_version=3 max_token_count=9 key=value",
        "help_text_for_the_settings disk_test_result task_live_count ask_live_x_secret_agent",
        "the_environmentsettings_secret_name and my_secret_1 and shop_a1_secret_name",
        "from 192.168.100.200 192.168.100.201 10.244.100.117, version 2026.11.28, X-Forwarded-For: one, two",
        "one of ('password', 'token', 'cookie') or (password, token)",
        "usage: keys --scope SCOPE, then <password> and <token> of <i>any</i> kind",
        "query argument 3 is missing, c2tf is Base64",
        '{"name": "LOG", "value": "@host.example"} {"a.": "@host.example"} "b", "@host.example" ["", "@host.example"]',
        "100%, 50 % of 4096 MiB, a%20b, caf%C3%A9, v=1, v1, (v1), v1beta1",
        "Ein Text mit Umlauten: äöü — “quoted”, 数字 12345, tab\there",
        "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUabc\n-----END CERTIFICATE-----",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_names_of_what_is_no_secret_are_known() -> None:
    assert not any(
        map(is_secret_name, ("name", "key", "idempotency_key", "secretName", "SECRET_KEY_FILE", "object_id"))
    )


HOSTILE = {
    "addresses without an end": "a://",
    "addresses in lists": ",a://b:c",
    "ats": "@",
    "addresses of people without an end": "a@b.",
    "labels": "a@a.a.a-1.",
    "digits": "1",
    "digits in groups": "12 ",
    "percent": "%25",
    "encoded": "%40a%3A%2F%2F",
    "names": "password",
    "names and spaces": "password   ",
    "open quotes": "password='\"\\",
    "escaped quotes": 'token:\\"',
    "open lists": "secrets=['",
    "queries": "?a.a.a.a.a.a-password",
    "options": "--a-a-a-a-a-a-a",
    "headers": "Authorization: Bearer ",
    "bearers": "Bearer a ",
    "web tokens": "eyJ",
    "web tokens with points": "eyJaaaaaaaaaa.",
    "keys": "sk_live_",
    "client secrets": "pi_a_client",
    "client secrets at the end": "pi_secret",
    "private keys": "-----BEGIN PRIVATE KEY-----",
    "rows": "Key (a)=(",
    "escaped slashes": ":\\/\\/a:b@",
    "parameters of addresses": "a://b:c@d?a.a.a-password",
    "mappings": "secrets={'",
    "blocks": "password: |\n ",
    "lines of a block": "\n a",
    "pairs in values": "password=a,password='",
    "pairs that are quoted whole": "'password=a",
    "arguments": "'--password',",
    "variables": "name: password\n value: ",
    "three quotes": 'password="""',
    "quoted local parts": '"a"@',
    "doubled quotes": "''",
    "card numbers": "4242424242424242 ",
    "digits of another script": "\uff14 ",
    "encoded often": "%2525252540a",
    "one letter that is not ASCII": "\u00e9" + "a" * 5000,
    "hosts of digits": "a@[1",
    "backslashes": "\\",
    "elements": "password>",
    "couples": "('password',\"",
    "couples with escapes": "('password','\\\\\\\"",
    "local parts of paths": "a/b&c/@d.ef",
    "local parts of gateways": "/G=a/@d.ef",
    "spaces": " ",
    "letters": "a",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_time_grows_with_the_text_and_no_faster(name: str) -> None:
    def seconds(size: int) -> float:
        text = (f"password token secret {HOSTILE[name]}" + HOSTILE[name] * size)[:size]
        begun = time.process_time()
        redact(text)
        return time.process_time() - begun

    small, large = (min(seconds(size) for _ in range(3)) for size in (8192, 8192 * 8))
    assert large < max(24 * small, 0.05)


def test_a_hostile_mebibyte_is_redacted_in_seconds() -> None:
    text = "".join(HOSTILE.values()) * (MEBIBYTE // 300)
    begun = time.process_time()
    redact(text)
    assert time.process_time() - begun < 60


@pytest.mark.parametrize(
    "begin", ["password token secret ", "password='", 'password="', "secrets=['", "a://b:c@d?token="]
)
@pytest.mark.parametrize("name", [*HOSTILE, "a long value"])
def test_no_rule_takes_more_memory_than_a_few_times_the_text(name: str, begin: str) -> None:
    text = begin + (HOSTILE.get(name, "ab-c/") * SIZE)[:SIZE]
    tracemalloc.start()
    try:
        redact(text)
        assert tracemalloc.get_traced_memory()[1] < 8 * sys.getsizeof(text) + MEBIBYTE // 2
    finally:
        tracemalloc.stop()


def test_an_id_that_ends_in_basic_is_no_scheme_of_authentication() -> None:
    line = "type=reconcile.price object=price_basic outcome=applied"
    assert redact(line) == line


@pytest.mark.parametrize(
    "token", ["eyJuNdY_lp_k9tbR7c_Z6jq0FHGPA707jEm.GK2UVR.Zv9", "eyJaaaaaaaaaa.mPXE-lp_gKy2EcyldXZPRMOC5y.Zv9"]
)
def test_a_web_token_goes_whole_where_a_part_of_it_looks_like_a_key(token: str) -> None:
    assert redact(f"got {token}, then") == redact("got eyJaaaaaaaaaa.bbbb.cccc, then") == "got ***, then"

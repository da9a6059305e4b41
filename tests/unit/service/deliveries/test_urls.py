"""One spelling of a URL, and no other host than the one that was checked."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from payment_service.deliveries.addresses import Rules
from payment_service.deliveries.urls import UnsafeUrl, parse_url

RULES = Rules(plain_http=False)
NUMBERS = (
    "https://2130706433/",
    "https://017700000001/",
    "https://0x7f000001/",
    "https://0x7F.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://0177.0.0.1/",
    "https://0177.0.0.0x1/",
    "https://127.0.0.1./",
    "https://127.0.0.01/",
    "https://0/",
    "https://0x/",
    "https://00000000000/",
    "https://256.256.256.256/",
    "https://1.2.3.4.5/",
    "https://4294967297/",
    "https://8.8.8.8.8./",
    "https://134744072/",
    "https://0x08.8.8.8/",
    "https://app.example.1/",
    "https://169.254.43518/",
    "https://127。0。0。1/",
    "https://\uff11\uff12\uff17.0.0.1/",
    "https://①②⑦.⓪.⓪.①/",
    "https://٠١٢٧.0.0.1/",
)
ADDRESSES = (
    "https://127.0.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[0:0:0:0:0:ffff:7f00:0001]/",
    "https://[fd00:ec2::254]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[2606:4700::1111%25eth0]/",
    "https://[2002:7f00:1::]/",
)
MISREAD = (
    "https://user@app.example.com/",
    "https://user:pass@app.example.com/",
    "https://@app.example.com/",
    "https://:@app.example.com/",
    "https://app.example.com:443@127.0.0.1/",
    "https://app.example.com;@127.0.0.1/",
    "https://app.example.com\\@127.0.0.1/",
    "https://app.example.com\\.evil.example/",
    "https:\\\\127.0.0.1/",
    "https://app.example.com#@127.0.0.1/",
    "https://app.example.com/#",
    "https://app.example.com/\r\nHost: internal",
    "https://app.example.com\t/",
    "https://app.example.com\x00.evil.example/",
    "https://app.\u200bexample.com/",
    "https://app.example.com/\u202e",
    "https://app.example.com /",
    " https://app.example.com/",
    "https://%31%32%37.0.0.1/",
    "https://app%2eexample.com/",
    "https://app.example.com%00/",
    "https://[app.example.com]/",
    "https://[127.0.0.1]/",
    "https://[v1.127.0.0.1]/",
    "https://[::1]app.example.com/",
    "https://[::1/",
    "https://app..example.com/",
    "https://.app.example.com/",
    "https://app.example.com../",
    "https://-app.example.com/",
    "https://app_.*.example.com/",
    "https://" + "a" * 64 + ".example.com/",
    "https://" + "a." * 127 + "com/",
    "https://app.example.com:0/",
    "https://app.example.com:65536/",
    "https://app.example.com:-1/",
    "https://app.example.com:80:80/",
    "https://app.example.com:0x50/",
    "https:///path",
    "https:app.example.com/",
    "https://",
    "//app.example.com/",
    "app.example.com",
    "",
    "http://app.example.com/",
    "ftp://app.example.com/",
    "file:///etc/passwd",
    "gopher://app.example.com/",
    "unix:///var/run/docker.sock",
    "javascript:alert(1)",
    "https://app.example.com/" + "a" * 2048,
    "https://\ud800.example.com/",
)
GOOD = {
    "https://app.example.com/hooks?a=1&b=%26": "https://app.example.com/hooks?a=1&b=%26",
    "HTTPS://App.Example.COM": "https://app.example.com",
    "https://app.example.com./hooks": "https://app.example.com/hooks",
    "https://app.example.com:443/": "https://app.example.com/",
    "https://app.example.com:8443/": "https://app.example.com:8443/",
    "https://bücher.example/": "https://xn--bcher-kva.example/",
    "https://faß.example/": "https://xn--fa-hia.example/",
    "https://my_app.example.com/": "https://my_app.example.com/",
    "https://hooks": "https://hooks",
    "https://app.example.com/@x?y@z": "https://app.example.com/@x?y@z",
    "https://8.8.8.8/": "https://8.8.8.8/",
    "https://[2606:4700:0:0::1111]:8443/x": "https://[2606:4700::1111]:8443/x",
    "https://1.example.0xample/": "https://1.example.0xample/",
    "https://app.example.com/%0d%0a": "https://app.example.com/%0D%0A",
}


@pytest.mark.parametrize("text", [*NUMBERS, *ADDRESSES, *MISREAD])
def test_what_could_be_read_as_another_host_is_refused(text: str) -> None:
    with pytest.raises(UnsafeUrl) as caught:
        parse_url(text, rules=RULES)
    assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize(("text", "expected"), GOOD.items())
def test_a_url_has_one_form(text: str, expected: str) -> None:
    assert str(parse_url(text, rules=RULES)) == expected
    assert str(parse_url(expected, rules=RULES)) == expected


def test_plain_http_and_addresses_pass_where_they_are_allowed() -> None:
    rules = Rules(plain_http=True, networks=(ip_network("10.0.0.0/8"),))
    assert str(parse_url("http://10.1.2.3:8080/", rules=rules)) == "http://10.1.2.3:8080/"
    for text in ("http://10.1/", "http://167772161/", "http://[::ffff:10.0.0.1]/", "http://127.0.0.1/"):
        with pytest.raises(UnsafeUrl):
            parse_url(text, rules=rules)

"""What crosses a network unencrypted: one answer for the service and the operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from payment_operator import plaintext as operators
from payment_service.config import plaintext
from payment_service.config.plaintext import database_in_the_clear, misread, redis_in_the_clear, verified


def test_service_and_operator_hold_the_same_file() -> None:
    assert Path(operators.__file__).read_text() == Path(plaintext.__file__).read_text()


@pytest.fixture(autouse=True)
def without_postgresql_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGSSLMODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("mode", ["", "disable", "allow", "prefer", "Require", "verify_full", "none"])
def test_a_mode_that_may_fall_back_to_plain_text_protects_nothing(mode: str) -> None:
    query = f"?sslmode={mode}" if mode else ""
    told = database_in_the_clear(f"postgresql://app:pass@db.example.com/payments{query}")
    assert told == f"sslmode={mode or 'prefer'} to db.example.com"


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_mode_that_insists_on_tls_is_encrypted(mode: str) -> None:
    assert not database_in_the_clear(f"postgresql+asyncpg://app:pass@db.example.com/payments?sslmode={mode}")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:pass@127.0.0.1:5432/payments",
        "postgresql://app:pass@localhost/payments",
        "postgresql://app:pass@[::1]:5432/payments",
        "postgresql://app:pass@%2Fvar%2Frun%2Fpostgresql/payments",
        "postgresql:///payments?host=/var/run/postgresql",
        "postgresql:///payments",
        "postgresql://app@127.0.0.1:1,localhost:2/payments?sslmode=disable",
    ],
)
def test_this_machine_needs_no_encryption(url: str) -> None:
    assert not database_in_the_clear(url)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("postgresql://app:pa@ss@db/payments", "db"),
        ("postgresql://app:127.0.0.1@db/payments", "db"),
        ("postgresql://127.0.0.1:5432,db-2:5432/payments", "db-2"),
        ("postgresql://localhost/payments?host=db-3", "db-3"),
        ("postgresql:///payments?host=/var/run/postgresql,db-4", "db-4"),
        ("postgresql://[fd00::7]/payments", "fd00::7"),
        ("postgresql://localhost.example.com/payments", "localhost.example.com"),
        ("postgresql://127.0.0.1.example.com/payments", "127.0.0.1.example.com"),
        ("postgresql://db/payments?sslmode=verify-full&sslmode=disable", "db"),
        ("postgresql:///payments?service=elsewhere", "a service file's host"),
    ],
)
def test_any_host_elsewhere_counts(url: str, host: str) -> None:
    assert database_in_the_clear(url).endswith(f" to {host}")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mariadb://app:pass@db/shop", ""),
        ("mariadb://app:pass@db/shop?ssl-mode=VERIFY_CA", ""),
        ("mysql://app:pass@db/shop?ssl-mode=DISABLED", "ssl-mode=DISABLED to db"),
        ("mariadb+asyncmy://app:pass@localhost,db-2:3307/shop?ssl-mode=Preferred", "ssl-mode=Preferred to db-2"),
        ("mariadb://app:pass@127.0.0.1/shop?ssl-mode=DISABLED", ""),
    ],
)
def test_mariadb_is_encrypted_unless_its_address_says_otherwise(url: str, told: str) -> None:
    assert database_in_the_clear(url, unsaid="disable") == told
    assert verified(url).startswith("ssl-mode=VERIFY_IDENTITY")
    assert verified("postgresql://db/shop").startswith("sslmode=verify-full")


def test_what_libpq_takes_from_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db")
    assert database_in_the_clear("postgresql:///payments") == "sslmode=prefer to db"
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert not database_in_the_clear("postgresql:///payments")
    assert database_in_the_clear("postgresql:///payments?sslmode=disable") == "sslmode=disable to db"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://:pass@cache:6379/0", "redis:// to cache"),
        ("redis+cluster://cache-0:6379", "redis+cluster:// to cache-0"),
        ("redis+sentinel://127.0.0.1:26379,s2:26379/0?service=x", "redis+sentinel:// to s2"),
        ("rediss://cache:6379", ""),
        ("rediss+cluster://cache:6379", ""),
        ("rediss+sentinel://s1,s2", ""),
        ("redis://127.0.0.1:6379", ""),
        ("redis://localhost", ""),
    ],
)
def test_redis_is_encrypted_or_here(url: str, told: str) -> None:
    assert redis_in_the_clear(url) == told


@pytest.mark.parametrize("url", ["", "postgresql://", "postgresql://[bad/payments", "redis://[", "nonsense"])
def test_an_address_that_cannot_be_read_is_no_crash(url: str) -> None:
    database_in_the_clear(url)
    redis_in_the_clear(url)


@pytest.mark.parametrize(
    "login",
    ["app:pa/ss", "app:p@ss/w", "app:pa?s", "app:p@ss?w", "app:pa#ss", "app:12?s", ":pa/ss", ":1/", "app:[x]#"],
)
def test_a_password_that_ends_the_address_is_told_without_any_of_it(login: str) -> None:
    for url in (f"postgresql://{login}@db/payments?sslmode=require", f"redis://{login}@cache:6379/0"):
        assert misread(url) == "a /, ? or # in its password must be percent-encoded: %2F, %3F, %23"


def test_what_follows_a_number_sign_is_no_option_for_the_driver() -> None:
    assert misread("postgresql://app:pass@db/payments#?sslmode=require")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "postgresql:///payments?host=/var/run/postgresql&application_name=a@b",
        "postgresql://app:p%2Fs%3Fs%23@db:5432/payments?sslmode=require&application_name=a@b",
        "postgresql://db-1:5432,db-2:5432/payments?user=a@b",
        "postgresql://[fd00::7]/payments?user=a@b",
        "postgresql://db/payments?user=a@b",
        "redis+sentinel://:pass@s1:1,s2:2/0?service=x",
    ],
)
def test_an_address_that_every_driver_reads_alike_is_taken(url: str) -> None:
    assert not misread(url)

"""Addresses of MySQL and MariaDB: what is read, what is refused by name, and what the handshake is held to."""

from __future__ import annotations

import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from payment_service.config.secrets import Secret
from payment_service.config.settings import Settings
from payment_service.storage import dialects
from payment_service.storage.dialects.mysql_address import BadAddress, read_address, tls_context
from payment_service.storage.dialects.mysql_connector import MySQLConnector
from payment_service.storage.dialects.mysql_failures import MySQLFailures, is_duplicate

if TYPE_CHECKING:
    from collections.abc import Callable

LOGIN = "mariadb://payments:p%40ss%2Fword@"


def test_hosts_ports_and_a_login_with_odd_letters_are_read() -> None:
    address = read_address(f"{LOGIN}one,two:3307,[::1]:3308/shop?ssl-mode=REQUIRED")
    assert address.hosts == (("one", 3306), ("two", 3307), ("::1", 3308))
    assert (address.user, address.password, address.database) == ("payments", "p@ss/word", "shop")


@pytest.mark.parametrize(
    ("address", "mode"),
    [
        (f"{LOGIN}db.example.com/shop", "VERIFY_IDENTITY"),
        (f"{LOGIN}db.example.com/shop?ssl-mode=verify_ca", "VERIFY_CA"),
        (f"{LOGIN}db.example.com/shop?ssl-mode=DISABLED", "DISABLED"),
        (f"{LOGIN}127.0.0.1,localhost/shop", "DISABLED"),
        (f"{LOGIN}127.0.0.1,db.example.com/shop", "VERIFY_IDENTITY"),
        (f"{LOGIN}localhost/shop?ssl-ca=/ca.pem", "VERIFY_IDENTITY"),
    ],
)
def test_an_address_that_says_nothing_is_verified_unless_it_is_here(address: str, mode: str) -> None:
    assert read_address(address).ssl_mode == mode


@pytest.mark.parametrize(
    ("address", "wrong"),
    [
        (f"{LOGIN}host", "names no database"),
        (f"{LOGIN}/shop", "names no host"),
        (f"{LOGIN}host:0/shop", "port"),
        (f"{LOGIN}host:70000/shop", "port"),
        (f"{LOGIN}host:\u0663/shop", "port"),
        (f"{LOGIN}host/shop?ssl-mode=PREFERRED", "falls back to plain text"),
        (f"{LOGIN}host/shop?ssl-mode=on", "is not one of DISABLED"),
        (f"{LOGIN}host/shop?sslmode=require", "'sslmode' is no option"),
        (f"{LOGIN}host/shop?ssl-mode=REQUIRED&ssl-mode=DISABLED", "twice"),
    ],
)
def test_a_wrong_address_is_refused_by_name_and_without_its_password(address: str, wrong: str) -> None:
    with pytest.raises(BadAddress, match=wrong) as refused:
        read_address(address)
    assert "p%40ss" not in str(refused.value)
    assert "p@ss" not in str(refused.value)


@pytest.mark.parametrize(
    ("mode", "verifies", "names"),
    [
        ("REQUIRED", ssl.CERT_NONE, False),
        ("VERIFY_CA", ssl.CERT_REQUIRED, False),
        ("VERIFY_IDENTITY", ssl.CERT_REQUIRED, True),
    ],
)
def test_each_mode_holds_the_handshake_to_what_it_says(mode: str, verifies: ssl.VerifyMode, *, names: bool) -> None:
    context = tls_context(read_address(f"{LOGIN}host/shop?ssl-mode={mode}"))
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (verifies, names)
    assert tls_context(read_address(f"{LOGIN}host/shop?ssl-mode=DISABLED")) is None


def test_the_authority_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the chart's `database.ca` gives it to every container; an address that names one has its own."""
    monkeypatch.setenv("PGSSLROOTCERT", "/nowhere/ca.crt")
    with pytest.raises(FileNotFoundError):
        tls_context(read_address(f"{LOGIN}host/shop"))
    monkeypatch.setenv("PGSSLROOTCERT", "")
    with pytest.raises(FileNotFoundError):
        tls_context(read_address(f"{LOGIN}host/shop?ssl-ca=/nowhere/ca.crt"))
    assert tls_context(read_address(f"{LOGIN}host/shop"))


def test_a_session_is_strict_in_utc_and_gives_up_after_the_client() -> None:
    settings = Settings.from_env({}, needs=()).database
    connector = MySQLConnector(Secret(f"{LOGIN}host/shop"), settings=settings, application_name="test")
    said = " ".join(connector._session())
    assert "STRICT_ALL_TABLES" in said
    assert "time_zone='+00:00'" in said
    assert "innodb_lock_wait_timeout=5, lock_wait_timeout=5" in said
    assert "max_statement_time=20.0" in said


@pytest.fixture
def failing() -> Callable[..., Exception]:
    """Make an error as the driver's module has it."""
    return type("OperationalError", (Exception,), {"__module__": "asyncmy.errors"})


def test_errors_are_told_apart_by_their_numbers(failing: Callable[..., Exception]) -> None:
    failures = MySQLFailures()
    deadlock, gone, too_long = failing(1213, "Deadlock"), failing(2013, "Lost"), failing(1406, "Data too long")
    assert [failures.is_busy(error) for error in (deadlock, gone, too_long)] == [True, False, False]
    assert [failures.is_unavailable(error) for error in (deadlock, gone, too_long)] == [True, True, False]
    assert failures.is_refused_value(too_long)
    assert failures.is_lock_timeout(failing(1205, "Lock wait timeout"))
    assert not any(failures.is_unavailable(error) for error in (Exception(2013), ValueError("no number")))


def test_a_null_that_is_not_ours_is_no_duplicate(failing: Callable[..., Exception]) -> None:
    assert is_duplicate(failing(1048, "Column 'id' cannot be null"), column="id")
    assert not is_duplicate(failing(1048, "Column 'name' cannot be null"), column="id")


def test_both_schemes_are_one_database() -> None:
    assert dialects.of_url("mysql://host/shop") is dialects.of_url("mariadb+asyncmy://host/shop")


def test_no_process_of_another_database_loads_what_it_needs() -> None:
    program = (
        "import sys, payment_service.bootstrap, payment_service.migrations.runner;"
        "print(*({'asyncmy', 'sqlalchemy.dialects.mysql'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert loaded.split() == []

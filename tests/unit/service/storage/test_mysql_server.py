"""What a MariaDB must be set up like: each fault is refused by name."""

from __future__ import annotations

import pytest

from payment_service.storage.dialects.mysql_server import VARIABLES, problems, takes_writes

GOOD = {
    "read_only": "OFF",
    "version": "10.11.19-MariaDB-0+deb12u1-log",
    "default_storage_engine": "InnoDB",
    "collation_database": "utf8mb4_nopad_bin",
    "log_bin": "ON",
    "binlog_format": "MIXED",
    "max_allowed_packet": "16777216",
    "auto_increment_increment": "1",
    "wsrep_on": "OFF",
}


def test_a_server_as_debian_sets_it_up_is_fine() -> None:
    assert list(problems(GOOD)) == []
    assert tuple(GOOD) == VARIABLES
    assert list(problems({name: value for name, value in GOOD.items() if name != "wsrep_on"})) == []
    assert list(problems(GOOD | {"log_bin": "OFF", "binlog_format": "STATEMENT"})) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", "8.4.3"),
        ("version", "10.5.29-MariaDB"),
        ("default_storage_engine", "MyISAM"),
        ("collation_database", "utf8mb4_general_ci"),
        ("collation_database", "utf8mb4_bin"),
        ("binlog_format", "STATEMENT"),
        ("max_allowed_packet", "1048576"),
        ("auto_increment_increment", "2"),
        ("wsrep_on", "ON"),
    ],
)
def test_what_is_wrong_is_named_with_its_value(name: str, value: str) -> None:
    (problem,) = problems(GOOD | {name: value})
    assert value in problem
    assert name.replace("collation_database", "collation") in problem


@pytest.mark.parametrize("said", ["ON", "NO_LOCK", "NO_LOCK_NO_ADMIN"])
def test_every_way_to_be_read_only_counts(said: str) -> None:
    assert takes_writes(GOOD)
    assert not takes_writes(GOOD | {"read_only": said})

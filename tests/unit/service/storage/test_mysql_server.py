"""What a MariaDB must be set up like: each fault is refused by name."""

from __future__ import annotations

import pytest

from payment_service.storage.dialects.mysql_server import VARIABLES, problems

GOOD = {
    "read_only": 0,
    "version": "10.11.19-MariaDB-0+deb12u1-log",
    "default_storage_engine": "InnoDB",
    "collation_database": "utf8mb4_nopad_bin",
    "log_bin": 1,
    "binlog_format": "MIXED",
    "max_allowed_packet": 16_777_216,
}


def test_a_server_as_debian_sets_it_up_is_fine() -> None:
    assert list(problems(GOOD)) == []
    assert tuple(GOOD) == VARIABLES
    assert list(problems(GOOD | {"log_bin": 0, "binlog_format": "STATEMENT"})) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", "8.4.3"),
        ("version", "10.5.29-MariaDB"),
        ("default_storage_engine", "MyISAM"),
        ("collation_database", "utf8mb4_general_ci"),
        ("collation_database", "utf8mb4_bin"),
        ("binlog_format", "STATEMENT"),
        ("max_allowed_packet", 1_048_576),
    ],
)
def test_what_is_wrong_is_named_with_its_value(name: str, value: object) -> None:
    (problem,) = problems(GOOD | {name: value})
    assert str(value) in problem
    assert name.replace("collation_database", "collation") in problem

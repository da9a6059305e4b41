"""`payments keys` and `payments secret-key` as a person uses them."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from payment_service.access.secret_keys import derive
from payment_service.cli import main

A, B = "a1b2c3d4" * 5, "e5f6a7b8" * 5


@pytest.fixture
def database(migrated_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = Path(shutil.copy(migrated_sqlite, tmp_path / "keys.sqlite3"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{file}")
    monkeypatch.setenv("SECRET_KEY", A)
    return file


def payments(*words: str, secret_key: str = A) -> Result:
    return CliRunner().invoke(main, words, env={"SECRET_KEY": secret_key})


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    "principal",
    ["", "   ", "\x1b[31mred", "two\nlines", "a\x00b", "\u202eevil", "shop ", "x" * 129, "4242424242424242"],
)
def test_a_name_that_does_not_show_as_it_is_is_refused_by_field(principal: str) -> None:
    answer = payments("keys", "create", principal)
    assert answer.exit_code == 1
    assert "principal: " in answer.stderr
    assert payments("keys", "list", "--json").stdout.strip() == "[]"


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("hours", ["-1", "nan", "inf", "1e99", "soon"])
def test_an_overlap_that_is_no_length_of_time_is_wrong_use(hours: str) -> None:
    assert payments("keys", "rotate", "lpk_1", "--overlap-hours", hours).exit_code == 2
    assert payments("keys", "create", "shop", "--days", hours).exit_code == 2


def test_what_was_stored_before_names_were_checked_is_shown_escaped(database: Path) -> None:
    payments("keys", "create", "shop")
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE api_keys SET principal = 'a' || char(27) || '[2Jb'")
    assert "\x1b" not in payments("keys", "list").stdout


@pytest.mark.usefixtures("database")
def test_the_list_has_headers_and_is_json_when_asked() -> None:
    key = payments("keys", "create", "shop", "--scope", "read").stdout.strip()
    header, row = payments("keys", "list").stdout.splitlines()
    assert header.split()[:4] == ["ID", "KEY", "MODE", "SCOPE"]
    assert key[:12] in row
    (told,) = json.loads(payments("keys", "list", "--json").stdout)
    assert told["prefix"] == key[:12]
    assert (told["principal"], told["scope"], told["livemode"], told["usable"]) == ("shop", "read", False, True)
    assert told["secret_keys"] == [derive(A).id]
    assert key not in json.dumps(told)


@pytest.mark.usefixtures("database")
def test_the_status_says_which_values_keys_need_and_whether_one_may_go() -> None:
    payments("keys", "create", "shop")
    told = json.loads(payments("secret-key", "status", "--json", secret_key=f"{B},{A}").stdout)
    assert [(value["id"], value["signs"], value["keys_needing"]) for value in told["in_use"]] == [
        (derive(B).id, True, 0),
        (derive(A).id, False, 1),
    ]
    needed = payments("secret-key", "check-removal", derive(A).id, secret_key=f"{B},{A}")
    assert needed.exit_code == 1
    assert "shop" in needed.stdout
    assert payments("secret-key", "check-removal", derive(B).id, secret_key=f"{B},{A}").exit_code == 0


@pytest.mark.usefixtures("database")
def test_a_value_that_is_missing_is_an_error_of_the_status() -> None:
    payments("keys", "create", "shop")
    answer = payments("secret-key", "status", secret_key=B)
    assert answer.exit_code == 1
    assert derive(A).id in answer.stdout
    assert "MISSING" in answer.stdout
    assert payments("secret-key", "status", secret_key=f"{B},{A}").exit_code == 0


@pytest.mark.usefixtures("database")
def test_the_only_value_and_an_unknown_one_may_not_go() -> None:
    assert payments("secret-key", "check-removal", derive(A).id).exit_code == 1
    assert payments("secret-key", "check-removal", "0" * 16).exit_code == 1

"""The chart's scripts that dump and restore MariaDB, on a real server: what is kept, what is refused and why."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from tests.servers import dumps
from tests.servers.mariadb import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.mariadb import MariaDBServer

WATCH = '#!/bin/sh\necho "$0 $*" >> {log}\nexec /usr/bin/{program} "$@"\n'
ROWS = """
CREATE TABLE cursors (name VARCHAR(255) PRIMARY KEY, value JSON NOT NULL, updated_at DATETIME(6) NOT NULL);
CREATE TABLE paid (n INT PRIMARY KEY, told LONGTEXT, raw LONGBLOB);
CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY);
INSERT INTO paid VALUES (1, 'a\\nb -- Table structure for table `x`', x'00ff'), (2, '/*!50003 CREATE*/ ☃', NULL);
CREATE TRIGGER stamped BEFORE INSERT ON paid FOR EACH ROW SET NEW.told = CONCAT(NEW.told, '!');
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with dumps.pod() as made:
        yield made


@pytest.fixture
def url(mariadb_server: MariaDBServer) -> str:
    """A database with rows."""
    made = mariadb_server.new_database()
    mariadb_server.execute(ROWS, database=made.rpartition("/")[2])
    return made


def kept(folder: Path) -> list[str]:
    return [path.name for path in (folder / "dumps").iterdir()]


def recreate(server: MariaDBServer, url: str) -> None:
    name = url.rpartition("/")[2]
    server.execute(f"DROP DATABASE {name}; CREATE DATABASE {name} COLLATE utf8mb4_nopad_bin")


def test_a_destroyed_database_has_the_same_rows_and_triggers_after_the_restore(
    mariadb_server: MariaDBServer, url: str, folder: Path
) -> None:
    name = url.rpartition("/")[2]
    before = mariadb_server.execute("SELECT n, told, HEX(raw) FROM paid", database=name)
    several = url.replace("@", "@127.0.0.1:1,")
    saved = dumps.run("backup", folder, url=several)
    assert saved.returncode == 0, saved.stderr
    assert saved.stdout.startswith(f"verified {kept(folder)[0]}: restored 3 tables and 1 triggers")
    recreate(mariadb_server, url)
    restored = dumps.run("restore", folder, url=several)
    assert restored.returncode == 0, restored.stderr
    assert restored.stdout == f"restored {kept(folder)[0]}\n"
    assert mariadb_server.execute("SELECT n, told, HEX(raw) FROM paid", database=name) == before
    mariadb_server.execute("INSERT INTO paid VALUES (3, 'x', NULL)", database=name)
    assert "x!" in mariadb_server.execute("SELECT told FROM paid WHERE n = 3", database=name)
    (definer,) = mariadb_server.execute(
        f"SELECT definer FROM information_schema.triggers WHERE trigger_schema = '{name}'"
    ).split()[1:]
    assert definer.startswith("payments@"), "whoever restores it, not who made it"
    mark = mariadb_server.execute("SELECT JSON_VALUE(value, '$.reason') FROM cursors", database=name).split("\n")[1]
    assert mark == f"restored {kept(folder)[0]}"


def test_the_password_stands_in_no_command_and_no_file(url: str, folder: Path) -> None:
    log = folder / "scratch" / "commands"
    programs = folder / "programs"
    programs.mkdir()
    for program in ("mariadb", "mariadb-dump"):
        file = programs / program
        file.write_text(WATCH.format(log=folder / "commands", program=program))
        file.chmod(0o755)
    log = folder / "commands"
    log.touch()
    log.chmod(0o666)
    saved = dumps.run("backup", folder, url=url, PATH=f"{programs}:/usr/bin:/bin:/usr/sbin")
    assert saved.returncode == 0, saved.stderr
    assert "mariadb-dump" in log.read_text()
    assert PASSWORD not in log.read_text() + saved.stdout + saved.stderr
    files = [path for path in (folder / "scratch").rglob("*") if stat.S_ISREG(path.lstat().st_mode)]
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []


def test_a_password_may_hold_what_addresses_and_option_files_treat_apart(
    mariadb_server: MariaDBServer, folder: Path
) -> None:
    mariadb_server.execute("CREATE OR REPLACE USER odd@'%' IDENTIFIED BY '\"a\\\\b#c;d é@/''%'")
    address = mariadb_server.url("information_schema", user="odd", password="%22a%5Cb%23c%3Bd%20%C3%A9%40%2F%27%25")
    answer = dumps.say(dumps.LOGIN + 'query "SELECT CURRENT_USER()"', folder, url=address)
    assert answer.stdout == "odd@%\n", answer.stderr


def test_a_login_that_sees_no_triggers_makes_no_dump(mariadb_server: MariaDBServer, url: str, folder: Path) -> None:
    name = url.rpartition("/")[2]
    mariadb_server.execute(f"CREATE OR REPLACE USER reader@'%' IDENTIFIED BY 'x'; GRANT SELECT ON {name}.* TO reader")
    result = dumps.run("backup", folder, url=mariadb_server.url(name, user="reader", password="x"))
    assert result.returncode != 0
    assert "secrets.migrationSecret" in result.stderr
    assert kept(folder) == []


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("{empty}", "has no tables"),
        ("mariadb://payments:x@127.0.0.1:1/none", "no host of the address can be used"),
        ("postgresql://payments:x@127.0.0.1:1/none", "must agree"),
        ("{empty}?ssl-mode=REQUIRED", "offers no TLS"),
    ],
)
def test_what_cannot_be_dumped_is_said_and_nothing_is_kept(
    mariadb_server: MariaDBServer, folder: Path, address: str, said: str
) -> None:
    result = dumps.run("backup", folder, url=address.format(empty=mariadb_server.new_database()))
    assert result.returncode != 0
    assert said in result.stderr
    assert kept(folder) == []


def test_a_dump_goes_into_an_empty_database_of_the_right_collation_only(
    mariadb_server: MariaDBServer, url: str, folder: Path
) -> None:
    assert "there is no dump" in dumps.run("restore", folder, url=url).stderr
    assert dumps.run("backup", folder, url=url).returncode == 0
    assert "the database has 3 tables" in dumps.run("restore", folder, url=url).stderr
    recreate(mariadb_server, url)
    mariadb_server.execute(f"ALTER DATABASE {url.rpartition('/')[2]} COLLATE utf8mb4_general_ci")
    assert "collation is utf8mb4_general_ci" in dumps.run("restore", folder, url=url).stderr


def test_a_restore_that_did_not_end_begins_anew(mariadb_server: MariaDBServer, url: str, folder: Path) -> None:
    assert dumps.run("backup", folder, url=url).returncode == 0
    recreate(mariadb_server, url)
    half = "CREATE TABLE restore_unfinished (id INT PRIMARY KEY); CREATE TABLE paid (n INT)"
    mariadb_server.execute(half, database=url.rpartition("/")[2])
    again = dumps.run("restore", folder, url=url)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("a restore did not end")
    tables = mariadb_server.execute("SHOW TABLES", database=url.rpartition("/")[2]).split()[1:]
    assert sorted(tables) == ["alembic_version", "cursors", "paid"]

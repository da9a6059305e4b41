"""The `payments` command as a person uses it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stripe_simulator import Simulator

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresServer

PAYMENTS = Path(sys.executable).with_name("payments")
README = Path(__file__).parents[2] / "README.md"
ASKED = """
COMP_WORDS=("${@:2}"); COMP_CWORD=$(($# - 2))
$(complete -p payments | grep -oP '(?<=-F )\\S+') "$2"
echo "${COMPREPLY[*]}"
"""
"""What bash does when Tab is pressed behind these words."""


def payments(*words: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PAYMENTS, *words],
        cwd=folder,
        env={"PATH": os.environ["PATH"]} | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def _migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    answer = payments("migrate", folder=folder)
    assert answer.returncode == 0, answer.stderr
    assert "ran 1 (expand)" in answer.stdout
    return folder


@pytest.fixture
def migrated(_migrated: Path, tmp_path: Path) -> Path:
    """A folder with a migrated database."""
    return shutil.copytree(_migrated, tmp_path, dirs_exist_ok=True)


def test_a_key_is_made_listed_rotated_and_revoked(migrated: Path) -> None:
    made = payments("keys", "create", "shop", "--scope", "read", folder=migrated)
    assert re.fullmatch(r"lp_test_[0-9A-Za-z]{43}\n", made.stdout)
    listed = payments("keys", "list", folder=migrated).stdout
    assert made.stdout[:12] in listed
    assert made.stdout.strip() not in listed
    key_id = listed.splitlines()[1].split()[0]
    assert payments("keys", "rotate", key_id, folder=migrated).returncode == 0
    assert "revoked" in payments("keys", "revoke", key_id, folder=migrated).stdout
    again = payments("keys", "revoke", key_id, folder=migrated)
    assert again.returncode == 1
    assert "revoked or expired already" in again.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("inbox", "list", "--dead"), "There are no such events."),
        (("operations", "list"), "There are no such operations."),
        (("keys", "list"), "There are no keys: payments keys create makes one."),
    ],
)
def test_a_list_of_nothing_says_so_beside_what_programs_read(words: tuple[str, ...], said: str, migrated: Path) -> None:
    answer = payments(*words, folder=migrated)
    assert (answer.returncode, answer.stdout) == (0, "")
    assert answer.stderr.splitlines()[-1] == said


def test_config_check_tells_every_problem_and_starts_nothing(tmp_path: Path) -> None:
    answer = payments("config", "check", folder=tmp_path, ENVIRONMENT="production")
    assert answer.returncode == 2
    for name in ("DATABASE_URL", "REDIS_URL", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "SECRET_KEY"):
        assert f"{name}: missing" in answer.stderr or f"{name}: needs" in answer.stderr
    assert list(tmp_path.iterdir()) == []


def test_config_check_masks_secrets(tmp_path: Path) -> None:
    answer = payments("config", "check", folder=tmp_path, STRIPE_SECRET_KEY="sk_test_hidden")
    assert answer.returncode == 0
    assert "hidden" not in answer.stdout
    assert "stripe.secret_key = ***" in answer.stdout


def test_serve_refuses_bad_settings_by_name(tmp_path: Path) -> None:
    answer = payments("serve", folder=tmp_path, PAYMENTS_NONSENSE="1")
    assert answer.returncode == 2
    assert "PAYMENTS_NONSENSE: unknown setting" in answer.stderr


def test_a_database_that_is_away_is_a_message(tmp_path: Path) -> None:
    away = "postgresql://payments@127.0.0.1:1/none"
    answer = payments("inbox", "list", folder=tmp_path, DATABASE_URL=away)
    assert answer.returncode == 1
    assert answer.stderr.endswith("Error: The database cannot be reached; try again\n")
    assert "Traceback" not in answer.stderr


def test_a_plan_writes_its_result_where_kubernetes_looks(tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    answer = payments("migrate", "--plan", folder=tmp_path, PAYMENTS_TERMINATION_LOG=str(log))
    assert answer.returncode == 0
    assert "CREATE TABLE customers" in answer.stdout
    assert '"current":0' in log.read_text()


def test_smoke_against_nothing_fails_and_says_what(tmp_path: Path) -> None:
    answer = payments(
        "smoke", "--base-url", "http://127.0.0.1:9", folder=tmp_path, STRIPE_API_BASE="http://127.0.0.1:9"
    )
    assert answer.returncode == 1
    assert answer.stdout.count("FAIL") >= 4
    assert answer.stdout.count("127.0.0.1:9 cannot be reached: Connection refused") == 3
    assert "Error" not in answer.stdout


def test_the_simulator_keeps_its_state_in_a_file(tmp_path: Path) -> None:
    price = {
        "lookup_key": "pro",
        "unit_amount": 100,
        "currency": "usd",
        "interval": "month",
        "product_name": "Pro",
    }
    for _ in range(2):
        simulator = Simulator(path=tmp_path / "stripe.sqlite3")
        simulator.ensure_price(price_id="price_1", **price)  # type: ignore[arg-type] # texts and amounts
        assert len(simulator.state.all("price")) == 1
        simulator.close()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("inb",), "inbox"),
        (("inbox", "list", "--sta"), "--state"),
        (("keys", "create", "--scope", ""), "events:read read endpoints:write write admin"),
    ],
)
def test_bash_completes_after_the_line_of_the_readme(words: tuple[str, ...], offered: str) -> None:
    (line,) = re.findall(r"`(eval .*bash_source payments\)\")`", README.read_text())
    path = f"{PAYMENTS.parent}:{os.environ['PATH']}"
    command = ["bash", "-c", f"{line}{ASKED}", "bash", "bash", "payments", *words]
    told = subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.strip() == offered


def production(url: str) -> dict[str, str]:
    """What a container of the chart that uses the database alone is given."""
    return {"ENVIRONMENT": "production", "PAYMENTS_STRIPE_MODE": "test", "DATABASE_URL": url}


def test_migrating_needs_the_databases_address_and_nothing_else(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    given = production(postgres_server.new_database())
    done = payments("migrate", "--expand", folder=tmp_path, **given)
    assert done.returncode == 0, done.stderr
    assert payments("inbox", "list", folder=tmp_path, **given).returncode == 0


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("worker",), {"REDIS_URL", "STRIPE_SECRET_KEY"}),
        (("serve",), {"REDIS_URL", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "SECRET_KEY"}),
        (("smoke",), {"STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"}),
        (("keys", "list"), {"SECRET_KEY"}),
        (("reconcile",), {"STRIPE_SECRET_KEY"}),
    ],
)
def test_what_a_command_uses_is_asked_for_by_name(words: tuple[str, ...], named: set[str], tmp_path: Path) -> None:
    refused = payments(*words, folder=tmp_path, **production("postgresql://payments@127.0.0.1:1/none"))
    assert refused.returncode == 2
    assert set(re.findall(r"^([A-Z_]+): missing", refused.stderr, re.MULTILINE)) == named

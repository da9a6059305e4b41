"""compose.yaml, .env.example, Dockerfile and README name what exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from payment_service.cli import main
from payment_service.config import settings
from payment_service.config.environment import EnvironmentReader
from payment_service.config.report import report
from payment_service.config.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
OURS = ("migrate", "grants", "api", "worker")
PASSWORDS = {
    "POSTGRES_PASSWORD": "a-long-password",
    "POSTGRES_OWNER_PASSWORD": "another-long-password",
    "POSTGRES_APP_PASSWORD": "a-third-long-password",
}
GIVEN = PASSWORDS | {
    "STRIPE_SECRET_KEY": "sk_test_51Nf8sKqLw02Mx",
    "STRIPE_WEBHOOK_SECRET": "whsec_q83Jd0LmZx71",
    "SECRET_KEY": "b0c4e1f79a2d4d6c8e3f5a7b9c1d2e4f60718293a4b5c6d7",
    "WEBHOOK_SIGNING_KEY": "5d0e7a1c94b24f3f8a6b7c8d9e0f1a2b3c4d5e6f708192a3",
}


def known_names() -> set[str]:
    reader = EnvironmentReader({})
    settings._read(reader)
    return {name for name in reader._known if name == "LOG_FILE" or not name.endswith("_FILE")}


def example_names() -> set[str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return {match[1] for line in lines if (match := re.match(r"(?:# (?:example: )?)?([A-Z][A-Z0-9_]+)=", line))}


def interpolated(value: str) -> str:
    """Do what compose does with ${NAME:-default} and ${NAME:?message}."""
    return re.sub(r"\$\{(\w+):(?:-([^}]*)|\?[^}]*)\}", lambda m: GIVEN.get(m[1], m[2] or ""), value)


def test_the_example_names_every_setting_and_no_other() -> None:
    assert example_names() - PASSWORDS.keys() == known_names()


def production(**environ: str) -> list[tuple[str, str]]:
    """The settings of production with these, whatever they lack; 30 and 30.0 are the same."""
    read = settings._read(EnvironmentReader({"ENVIRONMENT": "production", **environ}))
    return [(name, value.removesuffix(".0")) for name, value in report(read)]


def test_each_line_of_the_example_is_the_default_unless_it_says_otherwise() -> None:
    text = (ROOT / ".env.example").read_text()
    lines = re.findall(r"^# (example: )?([A-Z][A-Z0-9_]+)=(.+)$", text, re.MULTILINE)
    assert len(lines) > 50
    assert [line for line in lines if (production(**{line[1]: line[2]}) == production()) is bool(line[0])] == []


def test_what_compose_asks_for_stands_in_the_example() -> None:
    asked = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text()))
    assert asked <= example_names()


def test_the_service_accepts_what_compose_gives_it() -> None:
    for name in OURS:
        environ = {key: interpolated(value) for key, value in COMPOSE["services"][name]["environment"].items()}
        built = Settings.from_env(environ)
        assert built.production, name
        assert built.redis_url.reveal() == "redis://valkey:6379/0", name
        assert "@postgres:5432/" in built.database.url.reveal(), name
        assert bool(built.deliveries.signing_key) is (name in {"api", "worker"}), name


def test_each_part_runs_a_command_of_ours_hardened() -> None:
    parts = {name: COMPOSE["services"][name] for name in OURS}
    commands = {name: main.get_command(None, part["command"][0]) for name, part in parts.items()}  # type: ignore[arg-type] # not used
    assert {name for name, command in commands.items() if command is None} == set()
    hardened = ("service", "10001:10001", True, ["ALL"])
    found = {
        name: (part["build"]["target"], part["user"], part["read_only"], part["cap_drop"])
        for name, part in parts.items()
    }
    assert found == dict.fromkeys(OURS, hardened)


def test_everything_that_stays_has_a_health_check_and_waits_for_what_it_needs() -> None:
    parts = COMPOSE["services"]
    assert {name for name, part in parts.items() if "healthcheck" in part} == {"api", "worker", "postgres", "valkey"}
    for name in ("api", "worker"):
        assert parts[name]["depends_on"]["grants"]["condition"] == "service_completed_successfully"
        assert parts[name]["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_ports_are_published_to_this_machine_only() -> None:
    published = [port for part in COMPOSE["services"].values() for port in part.get("ports", [])]
    assert published == ["127.0.0.1:8000:8000"]


def test_what_serves_knows_no_password_but_the_applications() -> None:
    for name in ("api", "worker"):
        values = " ".join(interpolated(value) for value in COMPOSE["services"][name]["environment"].values())
        known = {setting for setting, password in PASSWORDS.items() if password in values}
        assert known == {"POSTGRES_APP_PASSWORD"}, name
        assert "payments_app:" in values, name


def test_the_migration_and_the_grants_run_as_the_owner_in_this_order() -> None:
    for name in ("migrate", "grants"):
        built = Settings.from_env(
            {key: interpolated(value) for key, value in COMPOSE["services"][name]["environment"].items()}
        )
        assert "payments_owner:" in built.database.migration_url.reveal()
        assert "payments_app:" in built.database.url.reveal()
    waits = COMPOSE["services"]["grants"]["depends_on"]
    assert waits == {"migrate": {"condition": "service_completed_successfully"}}


def test_data_lies_in_named_volumes() -> None:
    used = {volume.partition(":")[0] for part in COMPOSE["services"].values() for volume in part.get("volumes", [])}
    assert used == set(COMPOSE["volumes"]) == {"postgres-data", "valkey-data"}


def stages() -> dict[str, str]:
    parts = re.split(r"^FROM (\S+) AS (\S+)\n", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    return {
        name: f"FROM {base}\n{body}" for base, name, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    }


ENTRY = "echo 'payments:x:10001:10001::/tmp:/bin/false' >> /etc/passwd"


def test_images_run_as_nobody_special_and_hold_no_build_tools() -> None:
    built = {target: stages()[target] for target in ("service", "operator", "backup")}
    assert {target for target, stage in built.items() if "USER 10001:10001" not in stage} == set()
    assert {target for target, stage in built.items() if "HEALTHCHECK" in stage} == set()
    run = {target: re.findall(r"^RUN (.*)$", stage, flags=re.MULTILINE) for target, stage in built.items()}
    assert run == {"service": [], "operator": [], "backup": ["getent passwd 10001 >/dev/null || " + ENTRY]}


def test_images_hold_locked_dependencies_only() -> None:
    synced = re.findall(r"uv sync[^\n]*", (ROOT / "Dockerfile").read_text())
    assert len(synced) == 5
    assert all("--locked" in line and "--no-dev" in line for line in synced)


def test_the_backup_image_is_of_the_newest_server_that_is_tested() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "ARG BASE_IMAGE=python:3.13-slim" in dockerfile
    assert "ARG POSTGRES_IMAGE=postgres:18" in dockerfile
    assert COMPOSE["services"]["postgres"]["image"] == "postgres:18"


def test_the_readme_names_every_setting_of_the_deployment_guide() -> None:
    readme = (ROOT / "README.md").read_text()
    missing = {name for name in known_names() if not name.startswith("PAYMENTS_") and f"`{name}`" not in readme}
    assert missing == set()

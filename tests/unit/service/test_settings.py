"""Settings: development needs nothing, production refuses everything unsafe by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from payment_service.config.report import report
from payment_service.config.settings import Settings
from payment_service.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

PRODUCTION = {
    "ENVIRONMENT": "production",
    "DATABASE_URL": "postgresql://payments:secret@db:5432/payments?sslmode=verify-full",
    "REDIS_URL": "rediss://redis:6379/0",
    "STRIPE_SECRET_KEY": "sk_live_51Habcdefgh",
    "STRIPE_WEBHOOK_SECRET": "whsec_abcdefgh",
    "SECRET_KEY": "b3f1c5a9d7e2408699aa11bb22cc33dd44ee55ff",
}


def problems(**changes: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(PRODUCTION | changes)
    return caught.value.problems


def test_development_needs_nothing() -> None:
    assert not Settings.from_env({}).production


def test_production_with_everything_is_accepted() -> None:
    settings = Settings.from_env(PRODUCTION)
    assert settings.stripe.livemode


def test_a_hardened_staging_runs_production_in_test_mode() -> None:
    changes = {"PAYMENTS_STRIPE_MODE": "test", "STRIPE_SECRET_KEY": "rk_test_1"}
    assert not Settings.from_env(PRODUCTION | changes).stripe.livemode


@pytest.mark.parametrize(
    "name", ["DATABASE_URL", "REDIS_URL", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "SECRET_KEY"]
)
def test_a_missing_setting_is_refused_by_name(name: str) -> None:
    assert any(problem.startswith(f"{name}:") for problem in problems(**{name: ""}))


def test_a_process_may_lack_what_it_does_not_use() -> None:
    lacking = PRODUCTION | {"STRIPE_WEBHOOK_SECRET": "", "SECRET_KEY": ""}
    settings = Settings.from_env(lacking, needs=("DATABASE_URL", "REDIS_URL", "STRIPE_SECRET_KEY"))
    assert not settings.secret_key
    with pytest.raises(SettingsError, match="REDIS_URL: missing"):
        Settings.from_env(lacking | {"REDIS_URL": ""}, needs=("DATABASE_URL", "REDIS_URL"))


def test_what_a_process_does_not_use_must_still_be_right() -> None:
    with pytest.raises(SettingsError, match="SECRET_KEY: needs at least 32"):
        Settings.from_env(PRODUCTION | {"SECRET_KEY": "short"}, needs=("DATABASE_URL",))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "sqlite:///payments.sqlite3"),
        ("DATABASE_URL", "oracle://db/payments"),
        ("DATABASE_URL", "mariadb://payments@db"),
        ("DATABASE_URL", "mariadb://payments@db/payments?ssl-mode=DISABLED"),
        ("DATABASE_URL", "mysql://payments@db/payments?ssl-mode=preferred"),
        ("DATABASE_URL", "mariadb://payments@db/payments?sslmode=verify-full"),
        ("DATABASE_URL", "mariadb://payments:p/w@db/payments"),
        ("DATABASE_REPLICA_URL", "mariadb://payments@db/payments"),
        ("DATABASE_MIGRATION_URL", "mariadb://owner@db/payments"),
        ("DATABASE_REPLICA_URL", "sqlite:///replica.sqlite3"),
        ("REDIS_URL", "memcached://cache"),
        ("STRIPE_SECRET_KEY", "pk_live_publishable"),
        ("STRIPE_SECRET_KEY", "sk_test_in_live_mode"),
        ("STRIPE_API_BASE", "http://stand-in:12111"),
        ("STRIPE_API_BASE", "http://api.stripe.com"),
        ("DATABASE_URL", "postgresql://payments@db/payments"),
        ("DATABASE_URL", "postgresql://payments@db/payments?sslmode=prefer"),
        ("DATABASE_REPLICA_URL", "postgresql://payments@db/payments?sslmode=disable"),
        ("DATABASE_MIGRATION_URL", "postgresql://payments@db/payments?sslmode=allow"),
        ("DATABASE_URL", "postgresql://payments:p/w@db/payments?sslmode=require"),
        ("DATABASE_URL", "postgresql://payments:pass@db/payments#?sslmode=require"),
        ("REDIS_URL", "rediss://:p/w@cache:6379"),
        ("REDIS_URL", "redis://cache:6379"),
        ("REDIS_URL", "redis+sentinel://sentinel:26379"),
        ("PAYMENTS_ALLOW_PLAINTEXT", "databases"),
        ("STRIPE_WEBHOOK_SECRET", "not-a-signing-secret"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_development"),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("ALLOWED_ORIGINS", "*"),
        ("ALLOWED_ORIGINS", "app.example.com"),
        ("PAYMENTS_TRUSTED_PROXIES", "proxy.internal"),
        ("PAYMENTS_TRUSTED_PROXIES", "0.0.0.0/0"),
        ("PAYMENTS_TRUSTED_PROXIES", "10.0.0.0/8,::/0"),
        ("PAYMENTS_TRUSTED_PROXIES", "128.0.0.0/1"),
        ("PAYMENTS_TRUSTED_PROXIES", "10.0.0.0/7"),
        ("PAYMENTS_TRUSTED_PROXIES", "::ffff:0:0/96"),
        ("PAYMENTS_TRUSTED_PROXIES", "2000::/3"),
        ("PAYMENTS_WEBHOOK_ALLOWED_NETWORKS", "app.internal"),
        ("PAYMENTS_WEBHOOK_ALLOWED_NETWORKS", "10.0.0.0/8,10.0.0.0/33"),
        ("PAYMENTS_WEBHOOK_ALLOWED_NETWORKS", "0.0.0.0/0"),
        ("PAYMENTS_WEBHOOK_ALLOWED_NETWORKS", "10.0.0.0/8,::/0"),
        ("WEBHOOK_SIGNING_KEY", "short"),
        ("WEBHOOK_SIGNING_KEY", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("WEBHOOK_SIGNING_KEY", "0123456789abcdef0123456789abcdef,0123456789abcdef0123456789abcdef"),
        ("WEBHOOK_SIGNING_KEY", ",".join(f"{number}-0123456789abcdef0123456789abcdef" for number in range(6))),
        ("LOG_LEVEL", "LOUD"),
        ("PAYMENTS_STRIPE_MODE", "sandbox"),
        ("PAYMENTS_ADMIN_PORT", "http"),
        ("PAYMENTS_DATABASE_POOL_SIZE", "1000000"),
        ("PAYMENTS_MAX_BODY_BYTES", "1048577"),
        ("PAYMENTS_REQUIRE_IDEMPOTENCY_KEY", "maybe"),
        ("PAYMENTS_IDEMPOTENCY_RETENTION_HOURS", "1"),
        ("PAYMENTS_MISSPELT", "1"),
    ],
)
def test_an_unsafe_setting_is_refused_by_name(name: str, value: str) -> None:
    assert any(problem.startswith(f"{name}:") for problem in problems(**{name: value}))


def test_networks_of_proxies_are_accepted() -> None:
    proxies = "10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,127.0.0.0/8,130.211.0.0/22,fd00::/8,2606:4700::/32"
    assert len(Settings.from_env(PRODUCTION | {"PAYMENTS_TRUSTED_PROXIES": proxies}).http.trusted_proxies) == 8


@pytest.mark.parametrize("mode", ["", "?ssl-mode=VERIFY_IDENTITY", "?ssl-mode=verify_ca", "?ssl-mode=REQUIRED"])
def test_mariadb_on_several_hosts_is_accepted(mode: str) -> None:
    address = f"mariadb://payments:secret@db-1,db-2:3307/payments{mode}"
    assert Settings.from_env(PRODUCTION | {"DATABASE_URL": address}).production


def test_mariadb_in_plain_text_is_told_how_it_is_encrypted() -> None:
    (said,) = problems(DATABASE_URL="mariadb://payments@127.0.0.1,db-2/payments?ssl-mode=DISABLED")
    assert said.startswith("DATABASE_URL: ssl-mode=DISABLED to db-2 may be unencrypted; set ssl-mode=VERIFY_IDENTITY")
    here = {"DATABASE_URL": "mariadb://payments@127.0.0.1/payments"}
    assert Settings.from_env(PRODUCTION | here).production


def test_plain_text_is_accepted_where_a_setting_says_so() -> None:
    plain = {"DATABASE_URL": "postgresql://payments@db/payments", "REDIS_URL": "redis://cache:6379"}
    assert Settings.from_env(PRODUCTION | plain | {"PAYMENTS_ALLOW_PLAINTEXT": "database,redis"}).production
    named = problems(**plain, PAYMENTS_ALLOW_PLAINTEXT="redis")
    assert [problem.partition(":")[0] for problem in named] == ["DATABASE_URL"]


def test_plain_text_stays_on_this_machine() -> None:
    here = {"DATABASE_URL": "postgresql://payments@127.0.0.1/payments", "REDIS_URL": "redis://localhost:6379"}
    assert Settings.from_env(PRODUCTION | here).production


def test_no_setting_lets_a_live_key_be_sent_unencrypted() -> None:
    named = problems(STRIPE_API_BASE="http://api.stripe.com", PAYMENTS_ALLOW_PLAINTEXT="database,redis")
    assert named == ["STRIPE_API_BASE: a live key is never sent unencrypted; remove STRIPE_API_BASE"]


def test_a_live_key_is_refused_in_development() -> None:
    with pytest.raises(SettingsError, match="STRIPE_SECRET_KEY: a live key in development"):
        Settings.from_env({"STRIPE_SECRET_KEY": "sk_live_1", "PAYMENTS_STRIPE_MODE": "live"})


def test_all_problems_are_told_at_once() -> None:
    named = {problem.partition(":")[0] for problem in problems(DATABASE_URL="", SECRET_KEY="x", PAYMENTS_X="1")}
    assert {"DATABASE_URL", "SECRET_KEY", "PAYMENTS_X"} <= named


def test_a_problem_never_shows_the_secret() -> None:
    assert all("sk_live_51H" not in problem for problem in problems(PAYMENTS_STRIPE_MODE="test"))


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk_live_from_file\n")
    environ = PRODUCTION | {"STRIPE_SECRET_KEY": "", "STRIPE_SECRET_KEY_FILE": str(file)}
    assert Settings.from_env(environ).stripe.secret_key.reveal() == "sk_live_from_file"


def test_a_secret_and_its_file_together_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk_live_from_file")
    assert any("both" in problem for problem in problems(STRIPE_SECRET_KEY_FILE=str(file)))


def test_a_missing_secret_file_is_refused_by_name() -> None:
    named = problems(STRIPE_SECRET_KEY="", STRIPE_SECRET_KEY_FILE="/does/not/exist")
    assert any(problem.startswith("STRIPE_SECRET_KEY_FILE:") for problem in named)


@pytest.mark.parametrize(
    "name", [*PRODUCTION, "PAYMENTS_REVISION", "PAYMENTS_ADMIN_TOKEN", "LOG_FILE", "SECRET_KEY_FILE"]
)
def test_a_setting_that_is_no_text_is_refused_by_name(name: str) -> None:
    octets = f"{PRODUCTION.get(name, 'x')}\udcff"
    assert any(problem == f"{name}: is not UTF-8" for problem in problems(**{name: octets}))


def test_a_number_of_any_length_is_refused_by_name() -> None:
    assert problems(PAYMENTS_CACHE_ENTRIES="9" * 400)[0].startswith("PAYMENTS_CACHE_ENTRIES:")


def test_the_report_masks_every_secret() -> None:
    shown = "\n".join(f"{name}={value}" for name, value in report(Settings.from_env(PRODUCTION)))
    assert "secret@db" not in shown
    assert "sk_live_51H" not in shown
    assert PRODUCTION["SECRET_KEY"] not in shown

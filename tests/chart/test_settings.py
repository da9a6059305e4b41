from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.chart.test_render import of_kind
from tests.chart.tools import CHART, pod_specs, render, template

from payment_operator.api.environment import Environment
from payment_service import cli_settings
from payment_service.config.checks import NEEDED
from payment_service.config.plaintext import database_in_the_clear
from payment_service.config.settings import Settings
from payment_service.http.door.limits import DoorSettings

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = {
    "DATABASE_URL": "postgresql://app:a-long-password@db/payments?sslmode=verify-full",
    "DATABASE_MIGRATION_URL": "postgresql://owner:a-long-password@db/payments?sslmode=verify-full",
    "REDIS_URL": "rediss://cache:6379",
    "STRIPE_SECRET_KEY": "sk_{mode}_51Nf8sKqLw02MxZpVbTyRu7Ac",
    "STRIPE_WEBHOOK_SECRET": "whsec_q83Jd0LmZx71PbVn5TyRk2Ws",
    "SECRET_KEY": "b0c4e1f79a2d4d6c8e3f5a7b9c1d2e4f60718293a4b5c6d7",
    "WEBHOOK_SIGNING_KEY": "5d0e7a1c94b24f3f8a6b7c8d9e0f1a2b3c4d5e6f708192a3",
}


REDIS = {
    "staging": "rediss://cache:6379",
    "monitoring": "rediss://:a-password@cache:6379/1",
    "nginx": "rediss+cluster://cache-0:6379",
    "cloudnativepg": "rediss+sentinel://sentinel-0:26379,sentinel-1:26379/0?service=payments",
}


@pytest.mark.parametrize("case", REDIS)
def test_the_service_accepts_the_environment_that_the_chart_renders(case: str, tmp_path: Path) -> None:
    mode = "test" if case == "staging" else "live"
    for name, value in SECRETS.items():
        (tmp_path / name).write_text(value.format(mode=mode))
    (tmp_path / "REDIS_URL").write_text(REDIS[case])
    containers = [
        container
        for spec in pod_specs(render("--values", str(CHART / "ci" / f"{case}-values.yaml")))
        for container in spec.get("initContainers", []) + spec["containers"]
        if container["command"][0] in {"payments", "python", "sh"} and container["name"] not in {"backup", "restore"}
    ]
    assert len(containers) >= 5
    for container in containers:
        environ = {entry["name"]: entry["value"] for entry in container["env"]}
        environ.pop("API_URL", None)
        for name in [name for name in environ if name.endswith("_FILE")]:
            environ[name] = str(tmp_path / environ[name].rpartition("/")[2])
        needs = NEEDS[container["name"]]
        if "keys" in str(container.get("args")):
            needs = (*needs, "SECRET_KEY")
        assert Settings.from_env(environ, needs=needs).stripe.mode == mode


NEEDS = {
    "api": tuple(NEEDED),
    "worker": cli_settings.WORKER,
    "migrate": cli_settings.DATABASE,
    "smoke": cli_settings.SMOKE,
}
"""What the programs of each container ask for; where `payments keys` is one of them, it takes `SECRET_KEY` too."""


def test_what_may_cross_the_network_unencrypted_reaches_the_service_in_both_modes() -> None:
    values = ("--set", "secrets.existingSecret=s,config.allowPlaintext={database,redis},config.stripeMode=test")
    for pod in pod_specs(render(*values)):
        for container in pod["containers"]:
            environ = {entry["name"]: entry.get("value") for entry in container["env"]}
            assert environ["PAYMENTS_ALLOW_PLAINTEXT"] == "database,redis"
    (operated,) = of_kind(render(*values, "--set", "operator.enabled=true"), "PaymentEnvironment")
    spec = msgspec.convert(operated["spec"], Environment)
    assert spec.database.allow_plaintext
    assert spec.redis.allow_plaintext


def environment_of(name: str, *values: str) -> dict[str, str]:
    """Return the plain variables of the first container of this name."""
    found = (c for pod in pod_specs(render(*values)) for c in pod["containers"] if c["name"] == name)
    return {entry["name"]: entry["value"] for entry in next(found)["env"] if "value" in entry}


def test_the_address_that_cloudnativepg_writes_names_no_mode_and_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://payments:a-long-password@pay-lean-payments-db-rw.billing:5432/payments"
    assert database_in_the_clear(url)
    for name in ("api", "smoke"):
        environ = environment_of(name, "--values", str(CHART / "ci" / "cloudnativepg-values.yaml"))
        monkeypatch.setenv("PGSSLMODE", environ["PGSSLMODE"])
        assert not database_in_the_clear(url)
        assert environ["PGSSLROOTCERT"]


def test_two_authorities_are_refused() -> None:
    both = ("--set", "secrets.existingSecret=s,database.ca.configMap=a,database.ca.secret=b")
    assert "database.ca.configMap and database.ca.secret are both set" in template(*both).stderr


@pytest.mark.parametrize("mode", ["false", "true"])
def test_the_limits_of_the_door_are_values_in_both_modes(mode: str) -> None:
    def door(*more: str) -> DoorSettings:
        base = f"secrets.existingSecret=s,config.stripeMode=test,operator.enabled={mode}"
        values = ("--set", ",".join((base, *more)))
        if mode == "true":
            (operated,) = of_kind(render(*values), "PaymentEnvironment")
            environ = operated["spec"]["api"]["config"]
        else:
            environ = environment_of("api", *values)
        named = {name: value for name, value in environ.items() if name.startswith("PAYMENTS_")}
        return Settings.from_env(named | {"PAYMENTS_STRIPE_MODE": "test"}).door

    assert door() == DoorSettings()
    more = ("keepAliveSeconds=620", "maxHeldBytes=67108864", "headMaxFields=50", "bodyMinBytesPerSecond=0")
    raised = door(*(f"config.door.{one}" for one in more))
    assert raised == DoorSettings(
        keep_alive_seconds=620, held_bytes=67_108_864, head_fields=50, body_bytes_per_second=0
    )

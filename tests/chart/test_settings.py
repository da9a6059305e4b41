from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.chart.tools import CHART, pod_specs, render

from payment_service.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = {
    "DATABASE_URL": "postgresql://app:a-long-password@db/payments",
    "DATABASE_MIGRATION_URL": "postgresql://owner:a-long-password@db/payments",
    "REDIS_URL": "redis://cache:6379",
    "STRIPE_SECRET_KEY": "sk_{mode}_51Nf8sKqLw02MxZpVbTyRu7Ac",
    "STRIPE_WEBHOOK_SECRET": "whsec_q83Jd0LmZx71PbVn5TyRk2Ws",
    "SECRET_KEY": "b0c4e1f79a2d4d6c8e3f5a7b9c1d2e4f60718293a4b5c6d7",
}


REDIS = {
    "staging": "redis://cache:6379",
    "monitoring": "rediss://:a-password@cache:6379/1",
    "nginx": "redis+cluster://cache-0:6379",
    "cloudnativepg": "redis+sentinel://sentinel-0:26379,sentinel-1:26379/0?service=payments",
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
        assert Settings.from_env(environ).stripe.mode == mode

"""The dev manifests on a real cluster: the service's main job, from a pod, through its Service."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.node import addons

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.environment import Namespace

pytestmark = pytest.mark.timeout(420)  # the images may have to be built first

PRODUCT = "id=prod_pro&name=Pro"
PRICE = "lookup_key=pro_monthly&product=prod_pro&currency=usd&unit_amount=2900&recurring[interval]=month"
BODY = {
    "lookup_key": "pro_monthly",
    "email": "ada@example.com",
    "name": "Ada Lovelace",
    "payment_method_id": "pm_card_visa",
}
CREATE = "http://payments-api/api/v1/payments/create-subscription"


def test_create_subscription_through_the_service(payments: Namespace) -> None:
    for path, form in (("products", PRODUCT), ("prices", PRICE)):
        status, answer = payments.request(f"http://simulator:12111/v1/{path}", method="POST", form=form)
        assert status == 200, answer
    status, answer = payments.request(CREATE, method="POST", body=BODY)
    assert status in {200, 201}, answer
    assert answer["status"] == "active"


@pytest.mark.usefixtures("metrics")
def test_the_autoscaler_reads_the_processor_use(payments: Namespace) -> None:
    def reading() -> Any:
        status = json.loads(payments.kubectl("get", "hpa", "payments-api", "-o", "json"))["status"]
        metrics = status.get("currentMetrics") or [{}]
        return metrics[0].get("resource", {}).get("current", {}).get("averageUtilization") is not None

    assert payments.until(reading)


@pytest.mark.usefixtures("prometheus_operator")
def test_prometheus_scrapes_the_service_monitor(payments: Namespace) -> None:
    payments.apply("monitoring.yaml")  # first: a kubelet may take a minute to show a pod its changed configuration
    payments.kubectl("apply", "-f", "-", stdin=json.dumps(addons.prometheus()))
    server = "http://prometheus-operated:9090/api/v1"
    query = f"{server}/query?query=payment_attempts_total"

    def scraped() -> Any:
        status, answer = payments.request(query)
        return status == 200 and answer["data"]["result"]

    series = payments.until(scraped, seconds=180)
    assert series, payments.request(f"{server}/targets")
    assert {item["metric"]["namespace"] for item in series} == {payments.name}


def test_the_certificate_of_the_ingress_is_for_its_host(payments: Namespace, tmp_path: Path) -> None:
    authority = payments.tls_secret(tmp_path, name="payments-tls", host="payments.test")
    payments.apply("network.yaml")
    ingress = json.loads(payments.kubectl("get", "ingress", "payments-api", "-o", "json"))["spec"]
    secret = json.loads(payments.kubectl("get", "secret", ingress["tls"][0]["secretName"], "-o", "json"))
    certificate = tmp_path / "served.crt"
    certificate.write_bytes(base64.b64decode(secret["data"]["tls.crt"]))
    command = ["openssl", "verify", "-verify_hostname", ingress["rules"][0]["host"], "-CAfile", authority, certificate]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    services = json.loads(payments.kubectl("get", "services", "-o", "json"))["items"]
    names = {service["metadata"]["name"] for service in services}
    backends = [path["backend"]["service"]["name"] for rule in ingress["rules"] for path in rule["http"]["paths"]]
    assert set(backends) <= names


def test_a_killed_postgresql_keeps_its_data(payments: Namespace) -> None:
    command = ("exec", "postgresql-0", "--", "env", "PGPASSWORD=development-only", "psql", "-h127.0.0.1", "-Upostgres")
    payments.kubectl(*command, "-c", "CREATE TABLE kept AS SELECT 42 AS answer")
    first = payments.kubectl("get", "pod", "postgresql-0", "-o", "jsonpath={.metadata.uid}")
    payments.kubectl("delete", "pod", "postgresql-0", "--grace-period=0", "--force")
    payments.kubectl("rollout", "status", "statefulset/postgresql", "--timeout=60s")
    payments.kubectl("wait", "pod/postgresql-0", "--for=condition=Ready", "--timeout=60s")
    assert payments.kubectl("get", "pod", "postgresql-0", "-o", "jsonpath={.metadata.uid}") != first
    assert payments.kubectl(*command, "-Atc", "SELECT answer FROM kept").strip() == "42"


def test_a_pod_that_is_not_restricted_is_refused(namespace: Namespace) -> None:
    container = {"name": "root", "image": "localhost/pause:1"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root"}, "spec": {"containers": [container]}}
    with pytest.raises(RuntimeError, match="violates PodSecurity"):
        namespace.kubectl("apply", "-f", "-", stdin=json.dumps(pod))

"""The dev manifests on a real cluster: the service's main job, from a pod, through its Service."""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.cluster.node import addons

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.environment import Namespace

PRODUCT = "id=prod_pro&name=Pro"
PRICE = "lookup_key=pro_monthly&product=prod_pro&currency=usd&unit_amount=2900&recurring[interval]=month"
BODY = {
    "lookup_key": "pro_monthly",
    "email": "ada@example.com",
    "name": "Ada Lovelace",
    "payment_method_id": "pm_card_visa",
}
PATH = "/api/v1/payments/create-subscription"
CREATE = f"http://payments-api{PATH}"
HOST = "payments.test"


@pytest.fixture(scope="module")
def shop(payments: Namespace) -> Namespace:
    """The service with something to sell."""
    for path, form in (("products", PRODUCT), ("prices", PRICE)):
        status, answer = payments.request(f"http://simulator:12111/v1/{path}", method="POST", form=form)
        assert status == 200, answer
    return payments


def test_create_subscription_through_the_service(shop: Namespace) -> None:
    status, answer = shop.request(CREATE, method="POST", body=BODY)
    assert status in {200, 201}, answer
    assert answer["status"] == "active"


@pytest.mark.usefixtures("ingress_controller")
def test_create_subscription_through_the_ingress_with_tls(shop: Namespace, tmp_path: Path) -> None:
    authority = shop.tls_secret(tmp_path, name="payments-tls", host=HOST)
    shop.apply("network.yaml")

    def address() -> Any:
        balancer = json.loads(shop.kubectl("get", "ingress", "payments-api", "-o", "json"))["status"]["loadBalancer"]
        return (balancer.get("ingress") or [{}])[0].get("ip")

    assert shop.until(address), "no controller took the Ingress"
    with httpx.Client(verify=ssl.create_default_context(cafile=str(authority)), timeout=20) as client:

        def post(path: str, host: str = HOST) -> httpx.Response | None:
            try:
                return client.post(
                    f"https://{address()}{path}",
                    headers={"Host": host},
                    json=BODY | {"email": "grace@example.com"},
                    extensions={"sni_hostname": HOST},
                )
            except httpx.TransportError:  # until the controller has the certificate it shows one of its own
                return None

        created = shop.until(lambda: (answer := post(PATH)) and answer.status_code in {200, 201} and answer)
        assert created, post(PATH)
        assert created.json()["status"] == "active"
        refused = post(PATH, host="stranger.test")
        assert refused is not None
        assert refused.status_code == 404


def test_a_network_policy_keeps_other_pods_from_the_database(shop: Namespace) -> None:
    shop.kubectl("delete", "networkpolicies", "--all")
    assert shop.until(lambda: shop.connects("postgresql", 5432, from_="deployment/simulator"))
    shop.apply("network.yaml")
    assert shop.until(lambda: not shop.connects("postgresql", 5432, from_="deployment/simulator"))
    assert not shop.connects("valkey", 6379, from_="deployment/simulator")
    status, answer = shop.request(CREATE, method="POST", body=BODY | {"email": "alan@example.com"})
    assert status in {200, 201}, answer  # the service itself still reaches both


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


def test_a_killed_postgresql_keeps_its_data(payments: Namespace) -> None:
    command = ("exec", "postgresql-0", "--", "env", "PGPASSWORD=development-only", "psql", "-h127.0.0.1", "-Upostgres")
    payments.kubectl(*command, "-c", "CREATE TABLE kept AS SELECT 42 AS answer")
    first = payments.kubectl("get", "pod", "postgresql-0", "-o", "jsonpath={.metadata.uid}")
    payments.kubectl("delete", "pod", "postgresql-0", "--grace-period=0", "--force")
    payments.kubectl("rollout", "status", "statefulset/postgresql", "--timeout=180s")
    payments.kubectl("wait", "pod/postgresql-0", "--for=condition=Ready", "--timeout=180s")
    assert payments.kubectl("get", "pod", "postgresql-0", "-o", "jsonpath={.metadata.uid}") != first
    assert payments.kubectl(*command, "-Atc", "SELECT answer FROM kept").strip() == "42"


def test_a_pod_that_is_not_restricted_is_refused(namespace: Namespace) -> None:
    container = {"name": "root", "image": "localhost/pause:1"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root"}, "spec": {"containers": [container]}}
    with pytest.raises(RuntimeError, match="violates PodSecurity"):
        namespace.kubectl("apply", "-f", "-", stdin=json.dumps(pod))

"""The chart as skaffold.yaml installs it, on a real cluster: the service's main job, from a pod."""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.cluster.chart.release import behind_ingress
from tests.cluster.chart.skaffold import configuration
from tests.cluster.node import addons

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.chart.skaffold import SkaffoldRelease
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
HOST = "payments.test"


@pytest.fixture(scope="module")
def shop(payments: SkaffoldRelease) -> SkaffoldRelease:
    """The service with something to sell."""
    for path, form in (("products", PRODUCT), ("prices", PRICE)):
        status, answer = payments.namespace.request(f"http://simulator:12111/v1/{path}", method="POST", form=form)
        assert status == 200, answer
    return payments


@pytest.fixture(scope="module")
def key(shop: SkaffoldRelease) -> str:
    """An API key that may create subscriptions."""
    return shop.exec("payments", "keys", "create", "smoke", "--scope", "write").split()[0]


def create(shop: SkaffoldRelease, *, key: str, email: str) -> tuple[int, Any]:
    """Create a subscription from a pod."""
    return shop.namespace.request(f"{shop.url}{PATH}", method="POST", body=BODY | {"email": email}, bearer=key)


def test_the_service_answers_under_the_name_that_skaffold_forwards(payments: SkaffoldRelease) -> None:
    (forward,) = configuration()["portForward"]
    status, answer = payments.namespace.request(f"http://{forward['resourceName']}:{forward['port']}/health")
    assert status == 200, answer
    assert answer["checks"] == {"database": True, "redis": True, "stripe": True}


def test_create_subscription_through_the_service(shop: SkaffoldRelease, key: str) -> None:
    status, answer = create(shop, key=key, email="ada@example.com")
    assert status in {200, 201}, answer
    assert answer["status"] == "active"


@pytest.fixture
def authority(shop: SkaffoldRelease, ingress_controller: None, tmp_path: Path) -> Iterator[ssl.SSLContext]:
    """The release behind the Ingress; yields who signed its certificate."""
    assert ingress_controller is None
    certificate = shop.namespace.tls_secret(tmp_path, name=f"{shop.fullname}-tls", host=HOST)
    with shop.changed(behind_ingress(shop.namespace.cluster, host=HOST)):
        yield ssl.create_default_context(cafile=str(certificate))


def test_create_subscription_through_the_ingress_with_tls(
    shop: SkaffoldRelease, key: str, authority: ssl.SSLContext
) -> None:
    def address() -> Any:
        ingress = json.loads(shop.namespace.kubectl("get", "ingress", shop.fullname, "-o", "json"))
        return (ingress["status"]["loadBalancer"].get("ingress") or [{}])[0].get("ip")

    assert shop.namespace.until(address), "no controller took the Ingress"
    with httpx.Client(verify=authority, timeout=20) as client:

        def post(path: str, host: str = HOST) -> httpx.Response | None:
            try:
                return client.post(
                    f"https://{address()}{path}",
                    headers={"Host": host, "Authorization": f"Bearer {key}"},
                    json=BODY | {"email": "grace@example.com"},
                    extensions={"sni_hostname": HOST},
                )
            except httpx.TransportError:  # until the controller has the certificate it shows one of its own
                return None

        created = shop.namespace.until(lambda: (answer := post(PATH)) and answer.status_code in {200, 201} and answer)
        assert created, post(PATH)
        assert created.json()["status"] == "active"
        refused = post(PATH, host="stranger.test")
        assert refused is not None
        assert refused.status_code == 404


def test_a_network_policy_keeps_other_pods_from_the_database(shop: SkaffoldRelease, key: str) -> None:
    namespace = shop.namespace
    assert namespace.until(lambda: namespace.connects("postgresql", 5432, from_="deployment/simulator"))
    namespace.apply("network.yaml")
    assert namespace.until(lambda: not namespace.connects("postgresql", 5432, from_="deployment/simulator"))
    assert not namespace.connects("valkey", 6379, from_="deployment/simulator")
    status, answer = create(shop, key=key, email="alan@example.com")
    assert status in {200, 201}, answer  # the service itself still reaches both


@pytest.mark.usefixtures("metrics")
def test_the_autoscaler_reads_the_processor_use(payments: SkaffoldRelease) -> None:
    def reading() -> Any:
        autoscaler = payments.namespace.kubectl("get", "hpa", f"{payments.fullname}-api", "-o", "json")
        metrics = json.loads(autoscaler)["status"].get("currentMetrics") or [{}]
        return metrics[0].get("resource", {}).get("current", {}).get("averageUtilization") is not None

    assert payments.namespace.until(reading)


@pytest.mark.usefixtures("prometheus_operator")
def test_prometheus_scrapes_the_service_monitor(payments: SkaffoldRelease) -> None:
    namespace = payments.namespace
    values = {
        "monitoring": {"serviceMonitor": {"enabled": True, "interval": "5s"}},
        "networkPolicy": {"monitoringNamespaceLabels": {"kubernetes.io/metadata.name": namespace.name}},
    }
    server = "http://prometheus-operated:9090/api/v1"
    query = f"{server}/query?query=payment_attempts_total"

    def scraped() -> Any:
        status, answer = namespace.request(query)
        return status == 200 and answer["data"]["result"]

    with payments.changed(values):  # first: a kubelet may take a minute to show a pod its changed configuration
        namespace.kubectl("apply", "-f", "-", stdin=json.dumps(addons.prometheus()))
        series = namespace.until(scraped, seconds=180)
        assert series, namespace.request(f"{server}/targets")
    assert {item["metric"]["namespace"] for item in series} == {namespace.name}


def test_a_killed_postgresql_keeps_its_data(servers: Namespace) -> None:
    command = ("exec", "postgresql-0", "--", "env", "PGPASSWORD=development-only", "psql", "-h127.0.0.1", "-Upostgres")
    servers.kubectl(*command, "-c", "CREATE TABLE kept AS SELECT 42 AS answer")
    first = servers.kubectl("get", "pod", "postgresql-0", "-o", "jsonpath={.metadata.uid}")
    servers.kubectl("delete", "pod", "postgresql-0", "--grace-period=0", "--force")
    servers.kubectl("rollout", "status", "statefulset/postgresql", "--timeout=180s")
    servers.kubectl("wait", "pod/postgresql-0", "--for=condition=Ready", "--timeout=180s")
    assert servers.kubectl("get", "pod", "postgresql-0", "-o", "jsonpath={.metadata.uid}") != first
    assert servers.kubectl(*command, "-Atc", "SELECT answer FROM kept").strip() == "42"


def test_a_pod_that_is_not_restricted_is_refused(namespace: Namespace) -> None:
    container = {"name": "root", "image": "localhost/pause:1"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root"}, "spec": {"containers": [container]}}
    with pytest.raises(RuntimeError, match="violates PodSecurity"):
        namespace.kubectl("apply", "-f", "-", stdin=json.dumps(pod))

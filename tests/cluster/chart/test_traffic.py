"""The Ingress over TLS, client addresses in the limiter, and who may talk to whom by the NetworkPolicies."""

from __future__ import annotations

import json
import ssl
import uuid
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.cluster.chart.paying import PRICE, offer
from tests.cluster.chart.release import behind_ingress
from tests.cluster.load.run import pod_manifests
from tests.cluster.node.layout import HOST as NODE
from tests.cluster.node.layout import INGRESS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.chart.release import Release

pytestmark = pytest.mark.timeout(1800)
HOST = "payments.test"
CREATE = "/api/v1/payments/create-subscription"
# Tries to connect and says what happened; nothing is sent. Arguments: host, port.
CONNECT = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3); print('open')"
# Prints whom the limiter has counted within the last minute.
LIMITED = """
import os, redis
address = open(os.environ["REDIS_URL_FILE"]).read().strip()
print(*[key.decode() for key in redis.Redis.from_url(address).keys("payments:{limit}:*")])
"""
# Asks the health report through the Ingress from a pod and prints its status. Arguments: address, host.
THROUGH = """
import http.client, ssl, sys
address, host = sys.argv[1:]
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
connection = http.client.HTTPSConnection(address, context=context, timeout=30)
connection.request("GET", "/health", headers={"Host": host, "X-Forwarded-For": "203.0.113.9"})
print(connection.getresponse().status)
"""


@pytest.fixture(scope="module")
def authority(
    release: Release, ingress_controller: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ssl.SSLContext]:
    """The release behind the Ingress; yields who signed its certificate."""
    assert ingress_controller is None
    folder: Path = tmp_path_factory.mktemp("tls")
    certificate = release.namespace.tls_secret(folder, name=f"{release.fullname}-tls", host=HOST)
    with release.changed(behind_ingress(release.namespace.cluster, host=HOST)):
        yield ssl.create_default_context(cafile=str(certificate))


@pytest.mark.soak
def test_the_ingress_serves_the_api_over_tls_and_counts_each_client_by_its_own_address(
    release: Release, authority: ssl.SSLContext
) -> None:
    offer(release)
    with httpx.Client(verify=authority, timeout=30, base_url=f"https://{INGRESS}", headers={"Host": HOST}) as client:

        def send(method: str, path: str, **more: Any) -> httpx.Response | None:
            try:
                return client.request(method, path, extensions={"sni_hostname": HOST}, **more)
            except httpx.TransportError:  # until the controller has the certificate it shows one of its own
                return None

        ready = release.namespace.until(lambda: (answer := send("GET", "/health/ready")) and answer.status_code == 200)
        assert ready, send("GET", "/health/ready")
        hidden = send("GET", "/metrics")
        assert hidden is not None
        assert hidden.status_code == 404
        key = release.exec("payments", "keys", "create", "ingress", "--scope", "write").split()[0]
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": uuid.uuid4().hex}
        answer = send("POST", CREATE, json=body(), headers=headers)
        assert answer is not None
        assert answer.status_code == 201, answer.text
        # the report counts the address, which a client cannot choose
        report = send("GET", "/health", headers={"X-Forwarded-For": "203.0.113.7"})
        assert report is not None
        assert report.status_code == 200, report.text
    command = ("exec", "deploy/simulator", "--", "python", "-c", THROUGH)
    assert release.namespace.kubectl(*command, INGRESS, HOST).split() == ["200"]
    counted = release.exec("python", "-c", LIMITED)
    pod = json.loads(release.namespace.kubectl("get", "pods", "-l", "app=simulator", "-o", "json"))["items"][0]
    assert NODE in counted
    assert pod["status"]["podIP"] in counted
    assert "203.0.113" not in counted


def body() -> dict[str, str]:
    """Return a body of its own customer."""
    return {"lookup_key": PRICE, "email": f"{uuid.uuid4().hex}@example.com", "payment_method_id": "pm_card_visa"}


def test_a_stranger_reaches_nothing_and_the_permitted_reach_what_they_need(release: Release) -> None:
    stranger(release)
    api, admin = f"{release.fullname}-api", f"{release.fullname}-metrics"
    assert not reaches(release, "pod/stranger", api, 80)
    assert not reaches(release, "pod/stranger", admin, 9090)
    assert reaches(release, "pod/stranger", "simulator", 12111)
    assert reaches(release, "deploy/simulator", api, 80)
    assert not reaches(release, "deploy/simulator", admin, 9090)
    workload = f"deploy/{release.fullname}-api"
    assert reaches(release, workload, "postgresql", 5432)
    assert reaches(release, workload, "valkey", 6379)
    assert reaches(release, workload, "simulator", 12111)
    assert not reaches(release, workload, "simulator", 12112)
    load = release.webhooks_from_a_pod("load", seconds=5, rate=40, fresh=20)
    assert load.result(within=120)["failed"] == 0


def stranger(release: Release) -> None:
    """Run a pod that no policy names."""
    made = pod_manifests(
        "stranger", namespace=release.namespace.name, image=release.namespace.images["service"], arguments=()
    )
    pod = made[1]
    pod["spec"]["containers"][0]["command"] = ["sleep", "3600"]
    release.namespace.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
    release.namespace.kubectl("wait", "pod/stranger", "--for=condition=Ready", "--timeout=60s")


def reaches(release: Release, from_: str, host: str, port: int) -> bool:
    """Whether a connection from a pod opens within three seconds."""
    command = ("exec", from_, "--", "python", "-c", CONNECT, host, str(port))
    return "open" in release.namespace.kubectl(*command, check=False)

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any, Self

import pytest
from kubernetes.aio import client as kube
from kubernetes.aio import config
from tests.cluster.environment import Cluster, new_namespace
from tests.cluster.proxy.requests import counts, resource
from tests.cluster.proxy.server import ApiProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.environment import Namespace
    from tests.cluster.proxy.requests import When

LEASES = frozenset({"leases"})


@pytest.fixture
def proxy(cluster: Cluster) -> Iterator[ApiProxy]:
    with ApiProxy(cluster.kubeconfig) as running:
        yield running


def through(proxy: ApiProxy) -> Cluster:
    return Cluster(kubeconfig=proxy.kubeconfig, place=None)


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    """A namespace without images: nothing runs in it."""
    fresh = new_namespace(cluster, images={})
    fresh.create()
    yield fresh
    fresh.remove()


class Client:
    """kubectl through the proxy: one process that creates ConfigMaps one after the other."""

    def __init__(self, proxy: ApiProxy, namespace: str) -> None:
        command = through(proxy).command("-n", namespace, "create", "-f", "-")
        nowhere = subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere, text=True)

    def create(self, *names: str) -> Self:
        items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}} for name in names]
        manifests = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        assert self.process.stdin is not None
        self.process.stdin.write(manifests)
        self.process.stdin.close()
        return self

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        return self.process.wait(60)


def config_maps(namespace: Namespace) -> set[str]:
    listed = namespace.kubectl("get", "configmaps", "-o", "name").split()
    return {name.partition("/")[2] for name in listed} - {"kube-root-ca.crt"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/namespaces", "namespaces"),
        ("/api/v1/namespaces/shop", "namespaces"),
        ("/api/v1/namespaces/shop/status", "namespaces"),
        ("/api/v1/namespaces/shop/pods/a/eviction", "pods"),
        ("/api/v1/persistentvolumes/a", "persistentvolumes"),
        ("/apis/coordination.k8s.io/v1/namespaces/shop/leases/a", "leases"),
        ("/apis/apps/v1/deployments", "deployments"),
        ("/version", ""),
    ],
)
def test_the_resource_of_a_path(path: str, expected: str) -> None:
    assert resource(path) == expected


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("PATCH", "/api/v1/namespaces/shop/services/a", {}, True),
        ("PATCH", "/api/v1/namespaces/shop/services/a", {"fieldManager": "x", "force": "true"}, True),
        ("PATCH", "/api/v1/namespaces/shop/services/a", {"dryRun": "All"}, False),
        ("GET", "/api/v1/namespaces/shop/services/a", {}, False),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/shop/leases/a", {}, False),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {}, False),
        ("DELETE", "/apis/batch/v1/namespaces/shop/jobs/a", {}, True),
    ],
)
def test_which_requests_count(method: str, path: str, query: dict[str, str], expected: object) -> None:
    assert counts(method, path, query, ignored=LEASES) is expected


@pytest.mark.parametrize(("when", "kept"), [("before", {"one", "two"}), ("after", {"one", "two", "three"})])
def test_a_client_is_killed_at_its_third_write(
    proxy: ApiProxy, namespace: Namespace, when: When, kept: set[str]
) -> None:
    namespace.kubectl("delete", "configmaps", "--all")
    client = Client(proxy, namespace.name)
    proxy.cut(3, when, client.kill)
    client.create("one", "two", "three", "four")
    cut = proxy.wait_for_cut(seconds=60)
    assert cut is not None
    assert (cut.number, cut.resource, cut.status) == (3, "configmaps", None if when == "before" else 201)
    assert client.end() != 0
    assert config_maps(namespace) == kept
    assert [write.status for write in proxy.writes] == [201, 201, cut.status]

    again = Client(proxy, namespace.name).create("five")
    assert again.end() == 0  # the proxy serves the killed client's successor
    assert [write.number for write in proxy.writes] == [1, 2, 3, 4]


def test_a_client_with_fewer_writes_is_not_cut(proxy: ApiProxy, namespace: Namespace) -> None:
    proxy.cut(2, "before", lambda: pytest.fail("it has one write only"))
    assert Client(proxy, namespace.name).create("alone").end() == 0
    assert proxy.wait_for_cut(seconds=0.1) is None
    assert Client(proxy, namespace.name).create("later").end() == 0  # nothing is left of the cut


def test_an_error_of_the_callback_reaches_the_test(proxy: ApiProxy, namespace: Namespace) -> None:
    def fails() -> None:
        raise OSError("no such process")

    proxy.cut(1, "before", fails)
    assert Client(proxy, namespace.name).create("never").end() != 0
    with pytest.raises(OSError, match="no such process"):
        proxy.wait_for_cut(seconds=60)
    assert "never" not in config_maps(namespace)


def test_leases_and_dry_runs_are_forwarded_and_not_counted(proxy: ApiProxy, namespace: Namespace) -> None:
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "leader"}}
    options = ("-n", namespace.name, "create", "-f", "-")
    through(proxy).kubectl(*options, stdin=json.dumps(lease))
    through(proxy).kubectl("-n", namespace.name, "create", "configmap", "dry", "--dry-run=server")
    assert proxy.writes == []
    assert namespace.kubectl("get", "lease", "leader", "-o", "name").strip() == "lease.coordination.k8s.io/leader"


def test_reads_can_answer_from_the_past_while_watches_are_silent(proxy: ApiProxy, namespace: Namespace) -> None:
    def seen() -> str:
        command = ("-n", namespace.name, "get", "configmap", "aged", "-o", "jsonpath={.data.age}")
        return through(proxy).kubectl(*command)

    def age(value: str) -> None:
        namespace.kubectl("patch", "configmap", "aged", "-p", json.dumps({"data": {"age": value}}))

    namespace.kubectl("create", "configmap", "aged", "--from-literal=age=old")
    assert seen() == "old"
    with Watch(proxy, namespace.name) as watch:
        assert watch.shows("old")
        with proxy.stale():
            age("new")
            assert seen() == "old"
            assert "new" not in watch.lines()
        assert seen() == "new"
        assert watch.shows("new")


class Watch:
    """kubectl that prints the age of a ConfigMap whenever it is told of a change."""

    def __init__(self, proxy: ApiProxy, namespace: str) -> None:
        options = ["-n", namespace, "get", "configmap", "aged", "--watch", "-o", 'jsonpath={.data.age}{"\\n"}']
        self.process = subprocess.Popen(through(proxy).command(*options), stdout=subprocess.PIPE)
        self.seen = b""

    def __enter__(self) -> Self:
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def lines(self) -> list[str]:
        assert self.process.stdout is not None
        self.seen += self.process.stdout.read() or b""
        return self.seen.decode().splitlines()

    def shows(self, text: str) -> bool:
        deadline = time.monotonic() + 60
        while text not in self.lines() and time.monotonic() < deadline:
            time.sleep(0.05)
        return text in self.lines()


async def test_what_the_killed_client_sent_behind_the_cut_is_dropped(proxy: ApiProxy, namespace: Namespace) -> None:
    namespace.kubectl("delete", "configmaps", "--all")
    configuration = kube.Configuration()
    load = config.load_kube_config
    await load(config_file=str(proxy.kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call]
    configuration.retries = 0
    async with kube.ApiClient(configuration) as api:
        core = kube.CoreV1Api(api)

        async def create(number: int) -> Any:
            body = kube.V1ConfigMap(metadata=kube.V1ObjectMeta(name=f"racing-{number}"))
            return await core.create_namespaced_config_map(namespace.name, body)

        proxy.cut(1, "after", lambda: time.sleep(1))  # long enough for the others to arrive
        answers = await asyncio.gather(*(create(number) for number in range(5)), return_exceptions=True)
    assert all(isinstance(answer, Exception) for answer in answers)
    assert len(proxy.writes) == 1
    assert len(config_maps(namespace)) == 1

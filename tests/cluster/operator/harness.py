"""An environment on the test cluster under an operator that runs as a process of this machine, with its own rights."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml
from tests.cluster.operator.rights import ACCOUNT, operator_rights

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tests.cluster.environment import Namespace

ROOT = Path(__file__).parents[3]
CRDS = ROOT / "chart/crds"
SAMPLES = ROOT / "k8s/samples"
ENVIRONMENT = "shop"
REDIS_PASSWORD = "valkey-takes-any-canary"
SECRET_VALUES = {
    "DATABASE_URL": "postgresql://postgres:development-only@postgresql:5432/postgres",
    "REDIS_URL": f"redis://default:{REDIS_PASSWORD}@valkey:6379/0",
    "SECRET_KEY": "0123456789abcdef0123456789abcdef-canary",
    "STRIPE_SECRET_KEY": "sk_test_simulator",
    "STRIPE_WEBHOOK_SECRET": "whsec_simulator0123456789abcdef",
}
QUICK = {
    "previewReplicas": 1,
    "progressDeadlineSeconds": 600,
    "smoke": {"timeoutSeconds": 240, "attempts": 3},
    "cutover": {"mode": "Overlap", "overlapSeconds": 1},
    "bake": {"seconds": 3, "intervalSeconds": 1},
    "drainSeconds": 2,
    "retainSeconds": 3,
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def install_crd(namespace: Namespace) -> None:
    namespace.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    namespace.cluster.kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=30s")


def grant(namespace: Namespace) -> None:
    """Bind the shipped rights to a ServiceAccount in the namespace."""
    items = [item for item in operator_rights(namespace.name) if not item["kind"].startswith("Cluster")]
    namespace.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def token_kubeconfig(namespace: Namespace, folder: Path) -> Path:
    """A kubeconfig with nothing but the token of the operator's ServiceAccount."""
    view = ("config", "view", "--raw", "--minify", "--flatten", "-o", "json")
    config = json.loads(namespace.cluster.kubectl(*view))
    token = namespace.kubectl("create", "token", ACCOUNT, "--duration=2h").strip()
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    path = folder / f"{namespace.name}.kubeconfig"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return path


@dataclass
class Operator:
    """`payment-operator run` as a process; start it again after a kill."""

    namespaces: tuple[str, ...]
    kubeconfig: Path
    folder: Path
    resync: float = 5.0
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    source: str = "payment_operator.cli"
    environment: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()

    @property
    def log(self) -> Path:
        return self.folder / "operator.log"

    def start(self) -> Self:
        program = f"from {self.source} import main; main()"
        scope = [argument for name in self.namespaces for argument in ("--namespace", name)]
        command = [sys.executable, "-c", program, "run", *scope, f"--port={self.port}", "--host=127.0.0.1"]
        command += [*self.arguments, f"--kubeconfig={self.kubeconfig}", f"--resync={self.resync}"]
        command += [f"--lease-namespace={self.namespaces[0] if self.namespaces else 'default'}"]
        environment = os.environ | {"LOG_LEVEL": "INFO"} | self.environment
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        return self

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself: Kubernetes would start it again."""
        return self.process is None or self.process.poll() is not None

    def kill(self) -> None:
        """End it as a crash does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as Kubernetes does."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(30)

    def get(self, path: str) -> tuple[int, str]:
        with suppress(OSError):
            request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()
        return 0, ""

    def api_requests(self) -> dict[tuple[str, str], float]:
        """Requests to the API server so far, by method and kind."""
        from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

        found: dict[tuple[str, str], float] = {}
        for family in text_string_to_metric_families(self.get("/metrics")[1]):
            for name, labels, value, *_ in family.samples:
                if name == "payment_operator_api_requests_total":
                    key = (labels["method"], labels["kind"])
                    found[key] = found.get(key, 0) + value
        return found

    def memory_mib(self) -> float:
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


@dataclass(frozen=True)
class Shop:
    """One environment and what it is made of."""

    namespace: Namespace
    name: str = ENVIRONMENT
    database: str = "postgres"

    def secret(self, **values: str) -> None:
        """Write the Secret that the sample names."""
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "payments"},
            "stringData": SECRET_VALUES | values,
        }
        self.namespace.kubectl("apply", "-f", "-", stdin=json.dumps(body))

    def manifest(self, *, sample: str = "minimal.yaml", image: str = "service", **spec: Any) -> dict[str, Any]:
        """The sample with an image of the tests, the simulator as Stripe and quick times."""
        resource: dict[str, Any] = next(yaml.safe_load_all((SAMPLES / sample).read_text()))
        resource["metadata"]["name"] = self.name
        resource["spec"]["image"] = self.namespace.images.get(image, image)
        resource["spec"]["stripe"] |= {"mode": "Test", "apiBase": "http://simulator:12111"}
        resource["spec"]["api"] = {
            "config": {"PAYMENTS_CREATE_LIMIT_PER_MINUTE": "0"},
            "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}},
        }
        resource["spec"]["autoscaling"] = {"minReplicas": 2, "maxReplicas": 2}  # there, but calm on a busy machine
        worker = {"resources": {"requests": {"cpu": "10m", "memory": "96Mi"}}}
        resource["spec"]["worker"] = resource["spec"].get("worker", {}) | worker
        release = QUICK | resource["spec"].get("release", {}) | spec.pop("release", {})
        resource["spec"] |= {"release": release} | spec
        for server in ("database", "redis"):  # the tests' servers know no TLS
            resource["spec"][server] = {"allowPlaintext": True} | resource["spec"][server]
        return resource

    def apply(self, **arguments: Any) -> None:
        self.namespace.kubectl("apply", "-f", "-", stdin=json.dumps(self.manifest(**arguments)))

    def put(self, manifest: dict[str, Any]) -> None:
        self.namespace.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    def psql(self, statement: str) -> str:
        """Run a statement in the database."""
        login = ("env", "PGPASSWORD=development-only", "psql", "-h127.0.0.1", "-Upostgres", "-d", self.database)
        return self.namespace.kubectl("exec", "postgresql-0", "--", *login, "-Atc", statement).strip()

    def psql_script(self, script: str) -> None:
        """Run statements one by one: some, such as CREATE DATABASE, stand in no transaction."""
        for statement in filter(None, map(str.strip, script.split(";"))):
            self.psql(statement)

    def address(self, service: str = "") -> str:
        """Where this machine, and so the operator's process, reaches a Service: the API's, or another's first port."""
        spec = json.loads(self.namespace.kubectl("get", "service", service or f"{self.name}-api", "-o", "json"))["spec"]
        return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}"

    def get(self) -> dict[str, Any]:
        return dict(json.loads(self.namespace.kubectl("get", "penv", self.name, "-o", "json")))

    def status(self) -> dict[str, Any]:
        return dict(self.get().get("status") or {})

    def condition(self, kind: str) -> dict[str, Any]:
        found = [entry for entry in self.status().get("conditions", []) if entry["type"] == kind]
        return dict(found[0]) if found else {}

    def ask(self, verb: str, **spec: Any) -> str:
        """Make a request and return its name."""
        request = {
            "apiVersion": "payments.leanconstruction.io/v1alpha1",
            "kind": "EnvironmentRequest",
            "metadata": {"generateName": f"{self.name}-{verb}-"},
            "spec": {"environment": self.name, "verb": verb} | spec,
        }
        create = ("create", "-f", "-", "-o", "jsonpath={.metadata.name}")
        return self.namespace.kubectl(*create, stdin=json.dumps(request)).strip()

    def answer(self, request: str, *, seconds: float = 120) -> dict[str, Any]:
        """Wait until a request is answered, and return its status."""
        deadline = time.monotonic() + seconds
        while True:
            found = dict(json.loads(self.namespace.kubectl("get", "ereq", request, "-o", "json"))["status"])
            if found["state"] in {"Refused", "Done"}:
                return found
            assert time.monotonic() < deadline, f"not answered after {seconds} s: {found}"
            time.sleep(1)

    def until(self, condition: Callable[[dict[str, Any]], Any], *, seconds: float = 120, what: str = "") -> Any:
        """Ask until the condition on the status holds; fail with the status when it does not in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status = self.status()
            if found := condition(status):
                return found
            time.sleep(1)
        raise AssertionError(f"not {what or 'so'} after {seconds} s: {json.dumps(self.status(), indent=1)}")

    def ready(self, *, revision: int | None = None, seconds: float = 600) -> dict[str, Any]:
        """Wait until the environment serves what its spec asks for, and return the status."""
        generation = self.get()["metadata"]["generation"]

        def settled(status: dict[str, Any]) -> Any:
            conditions = {entry["type"]: entry for entry in status.get("conditions", [])}
            serving = conditions.get("Ready", {}).get("status") == "True"
            right = revision is None or (status.get("active") or {}).get("revision") == revision
            return status if serving and right and status.get("observedGeneration", 0) >= generation else None

        return dict(self.until(settled, seconds=seconds, what=f"ready at revision {revision}"))

    def catalog(self) -> None:
        """Make the product and the price that tests subscribe to."""
        price = "lookup_key=pro_monthly&product=prod_pro&currency=usd&unit_amount=2900&recurring[interval]=month"
        for path, form in (("products", "id=prod_pro&name=Pro"), ("prices", price)):
            url = f"http://simulator:12111/v1/{path}"
            status, answer = self.namespace.request(url, method="POST", form=form)
            assert status == 200, answer

    def api_key(self) -> str:
        """Make an API key in a pod of the active revision."""
        deployment = f"deployment/{self.name}-api-{self.status()['active']['hash']}"
        made = self.namespace.kubectl(
            "exec", deployment, "-c", "api", "--", "payments", "keys", "create", "shop", "--scope", "write"
        )
        return next(word for word in made.split() if word.startswith("lp_"))

    def create_subscription(self, key: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Call the API through the Service, from a pod."""
        url = f"http://{self.name}-api/api/v1/payments/create-subscription"
        return self.namespace.request(url, method="POST", body=body, bearer=key, seconds=60)

    def objects(self, kind: str) -> list[dict[str, Any]]:
        label = f"payments.leanconstruction.io/environment={self.name}"
        return list(json.loads(self.namespace.kubectl("get", kind, "-l", label, "-o", "json"))["items"])

    def pods(self, component: str = "api") -> list[dict[str, Any]]:
        return [
            pod
            for pod in self.objects("pods")
            if pod["metadata"]["labels"].get("app.kubernetes.io/component") == component
        ]

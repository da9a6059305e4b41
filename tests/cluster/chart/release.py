"""A release of the chart with production-like values on the test cluster, and the servers that it uses."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from tests.cluster.load.run import HostLoad, PodLoad
from tests.cluster.node import clients, ingress, programs
from tests.cluster.node.layout import HOST
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.cluster.environment import Cluster, Namespace

CHART = Path(__file__).parents[3] / "chart"
SECRET, OWNER_SECRET = "payments", "payments-owner"
PASSWORD = "a-long-test-password"
STRIPE = "http://simulator:12111"
SIMULATOR_CONTROL = "http://simulator:12112"
# what people do once: docs/operations/install.md
ROLES = f"""
CREATE ROLE payments_owner LOGIN PASSWORD '{PASSWORD}';
CREATE ROLE payments LOGIN PASSWORD '{PASSWORD}';
CREATE DATABASE payments OWNER payments_owner;
"""
EVENT = {
    "id": "evt_load_{{id}}",
    "object": "event",
    "type": "load.sent",
    "created": 1,
    "livemode": False,
    "data": {"object": {}},
}
WEBHOOK = "/api/v1/webhooks/stripe"


class HelmFailed(Exception):
    """Helm refused; the message is what it said."""


def behind_ingress(cluster: Cluster, *, host: str) -> dict[str, Any]:
    """Return the values of a release behind the ingress controller of our node."""
    require(cluster.place, what="our own node's ingress controller", command="unset TEST_KUBECONFIG")
    controller = json.loads(cluster.kubectl("-n", ingress.NAMESPACE, "get", "pods", "-o", "json"))
    addresses = [f"{pod['status']['podIP']}/32" for pod in controller["items"] if pod["status"].get("podIP")]
    return {
        "config": {"trustedProxies": addresses},
        "ingress": {"enabled": True, "host": host, "className": ingress.CLASS},
        "networkPolicy": {"ingressNamespaceLabels": {"kubernetes.io/metadata.name": ingress.NAMESPACE}},
    }


def helm(version: int) -> Path:
    """Return Helm 4 (prebuilt) or Helm 3 (built from its module), whether or not it is there."""
    return clients.client("helm") if version == 4 else programs.path("helm")


@dataclass
class Release:
    """One release in one namespace; `values` are merged into the production-like ones."""

    namespace: Namespace
    name: str = "pay"
    version: int = 4
    image: str = ""
    webhook_secret: str = "whsec_aVeryLongSigningSecretOfTheTests"
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def fullname(self) -> str:
        """The prefix of its objects."""
        return f"{self.name}-lean-payments"

    @property
    def url(self) -> str:
        """Where pods of the namespace reach the API."""
        return f"http://{self.fullname}-api"

    def address(self) -> str:
        """Return where this machine reaches the API: the Service's address."""
        return self.namespace.kubectl("get", "service", f"{self.fullname}-api", "-o", "jsonpath={.spec.clusterIP}")

    def helm(self, *arguments: str, check: bool = True) -> str:
        """Run Helm in the namespace and return what it prints.

        Raises:
            HelmFailed: with its complaint.
        """
        program = helm(self.version)
        command = [str(program if program.exists() else shutil.which("helm") or "helm"), *arguments]
        place = ["--namespace", self.namespace.name, "--kubeconfig", str(self.namespace.cluster.kubeconfig)]
        done = subprocess.run([*command, *place], check=False, capture_output=True, text=True, timeout=540)
        if check and done.returncode:
            raise HelmFailed(done.stdout + done.stderr)
        return done.stdout + done.stderr

    def install(self, *more: str) -> str:
        """Install and wait until every pod is ready."""
        return self._apply("install", "--skip-crds", *more)  # the kind is the operator's

    def upgrade(self, *more: str) -> str:
        """Upgrade and wait until every pod is ready; raises HelmFailed."""
        return self._apply("upgrade", *more)

    def rollback(self, revision: str) -> str:
        """Go back to a revision and wait."""
        return self.helm("rollback", self.name, revision, "--wait", "--timeout", "480s")

    @contextmanager
    def changed(self, values: Mapping[str, Any]) -> Iterator[None]:
        """Upgrade to further values, and back to none of them whatever happens between."""
        self.values = dict(values)
        try:
            self.upgrade()
            yield
        finally:
            self.values = {}
            self.upgrade()

    def _apply(self, command: str, *more: str) -> str:
        values = yaml.safe_dump(merged(self.base_values(), self.values))
        file = self.namespace.cluster.kubeconfig.parent / f"values-{self.namespace.name}-{self.name}.yaml"
        file.write_text(values)
        try:
            wait = ("--wait", "--timeout", "480s")
            return self.helm(command, self.name, str(CHART), "--values", str(file), *wait, *more)
        finally:
            file.unlink(missing_ok=True)

    def base_values(self) -> dict[str, Any]:
        """Return values as production has them, less what a small machine cannot give: resources and replica bounds."""
        repository, _, tag = (self.image or self.namespace.images["service"]).rpartition(":")
        small = {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}}
        few = {"resources": small, "autoscaling": {"minReplicas": 2, "maxReplicas": 3}}
        stand_ins = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["simulator", "load"]}]}
        simulator = {"podSelector": {"matchLabels": {"app": "simulator"}}}
        return {
            "secrets": {"existingSecret": SECRET, "migrationSecret": OWNER_SECRET},
            "image": {"repository": repository, "tag": tag},
            "operator": {"enabled": False},
            # the node is where an Ingress controller or a test speaks from
            "config": {"stripeMode": "test", "stripeApiBase": STRIPE, "trustedProxies": [f"{HOST}/32"]}
            | {"allowPlaintext": ["database", "redis"]},  # the tests' servers know no TLS
            "api": few,
            "worker": few | {"autoscaling": {"minReplicas": 1, "maxReplicas": 2}},
            "migrations": {"resources": small},
            "test": {"resources": small},
            "networkPolicy": {
                # Stripe and its clients come from pods here, not through an Ingress
                "extraIngress": [{"from": [{"podSelector": stand_ins}], "ports": [{"port": 8000}]}],
                "extraEgress": [{"to": [simulator], "ports": [{"port": 12111}]}],
            },
        }

    def prepare(self) -> None:
        """Make the database with its two roles, a webhook endpoint at Stripe, and the Secrets."""
        self.psql(ROLES, database="postgres", role="postgres")
        form = f"url={self.url}{WEBHOOK}&enabled_events[]=*"
        status, endpoint = self.namespace.request(f"{STRIPE}/v1/webhook_endpoints", method="POST", form=form)
        assert status == 200, endpoint
        self.webhook_secret = endpoint["secret"]
        database = f"{PASSWORD}@postgresql:5432/payments"
        self.secret(
            SECRET,
            {
                "DATABASE_URL": f"postgresql://payments:{database}",
                "REDIS_URL": "redis://valkey:6379/0",
                "STRIPE_SECRET_KEY": "sk_test_51TestKeyOfTheClusterTests",
                "STRIPE_WEBHOOK_SECRET": self.webhook_secret,
                "SECRET_KEY": "4f1d0a9c7be24c5f8a36d21e90b7c8d3a5e6f417",
            },
        )
        self.secret(OWNER_SECRET, {"DATABASE_MIGRATION_URL": f"postgresql://payments_owner:{database}"})

    def secret(self, name: str, content: Mapping[str, str]) -> None:
        """Write a Secret."""
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in content.items()}
        manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}
        self.namespace.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    def psql(self, sql: str, *, database: str = "payments", role: str = "payments") -> str:
        """Run SQL in the PostgreSQL pod and return the rows, one a line, columns separated by a bar."""
        password = "development-only" if role == "postgres" else PASSWORD
        program = ("psql", "-h127.0.0.1", f"-U{role}", "-d", database, "-AtX", "-v", "ON_ERROR_STOP=1")
        command = ("exec", "-i", "postgresql-0", "--", "env", f"PGPASSWORD={password}", *program)
        return self.namespace.kubectl(*command, stdin=sql).strip()

    def named(self, commands: str) -> str:
        """Return what an operations page says to type, with this release's names in place of the page's."""
        return commands.replace("payments-lean-payments", self.fullname).replace(
            "-n payments ", f"-n {self.namespace.name} "
        )

    def shell(self, commands: str) -> str:
        """Run commands as a person would, with kubectl and Helm on the path; raises with what they printed."""
        programs_first = f"{clients.client('kubectl').parent}:{os.environ['PATH']}"
        environment = os.environ | {"PATH": programs_first, "KUBECONFIG": str(self.namespace.cluster.kubeconfig)}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            timeout=700,
        )
        if done.returncode:
            raise RuntimeError(f"{commands}\n{done.stdout}{done.stderr}")
        return done.stdout

    def exec(self, *command: str, component: str = "api") -> str:
        """Run a command in a pod of the release."""
        return self.namespace.kubectl("exec", f"deploy/{self.fullname}-{component}", "-c", component, "--", *command)

    def pods(self, component: str) -> list[dict[str, Any]]:
        """Return the pods of a component."""
        labels = f"app.kubernetes.io/instance={self.fullname},app.kubernetes.io/component={component}"
        found: list[dict[str, Any]] = json.loads(self.namespace.kubectl("get", "pods", "-l", labels, "-o", "json"))[
            "items"
        ]
        return found

    def webhooks(self, *, seconds: float, rate: float, fresh: float, timeout: float = 30) -> HostLoad:
        """Deliver signed events from this machine: `rate` a second over kept connections, `fresh` more on new ones."""
        return HostLoad(f"http://{self.address()}{WEBHOOK}", *self.webhook_load(seconds, rate, fresh, timeout))

    def webhooks_from_a_pod(self, name: str, *, seconds: float, rate: float, fresh: float) -> PodLoad:
        """Deliver them from a pod, through the Service's name."""
        load = partial(PodLoad, self.namespace.cluster.kubectl, name, f"{self.url}{WEBHOOK}")
        image = self.namespace.images["service"]
        arguments = self.webhook_load(seconds, rate, fresh, 30)
        return load(*arguments, namespace=self.namespace.name, image=image, labels={"app": "load"})

    def webhook_load(self, seconds: float, rate: float, fresh: float, timeout: float) -> tuple[str, ...]:
        """Return the generator's arguments."""
        numbers = {"--seconds": seconds, "--rate": rate, "--fresh-rate": fresh, "--timeout": timeout}
        flags = [part for name, value in numbers.items() for part in (name, str(value))]
        return (*flags, "--body", json.dumps(EVENT), "--stripe-secret", self.webhook_secret)


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with more laid over them, as Helm merges: maps key by key, everything else whole."""
    result = dict(base)
    for key, value in more.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result

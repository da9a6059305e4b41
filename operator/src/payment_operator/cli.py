"""The `payment-operator` command."""

import argparse
import asyncio
import os
import sys
from importlib.metadata import version

from payment_operator import names
from payment_operator.api.crd import crd_manifests, crd_yaml
from payment_operator.uncaught import redact_uncaught


def main(arguments: list[str] | None = None) -> None:
    """Run one command of the operator."""
    redact_uncaught()
    given = _parser().parse_args(arguments)
    if given.command == "crd":
        _crd(given.kind, apply=given.apply, existing=given.existing, kubeconfig=given.kubeconfig)
        return
    sys.exit(_run(given))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="payment-operator", description="Operator for payment environments.")
    parser.add_argument("--version", action="version", version=f"payment-operator {version('payment-operator')}")
    commands = parser.add_subparsers(dest="command", required=True)
    crd = commands.add_parser("crd", help="print the CustomResourceDefinitions")
    crd.add_argument("--kind", choices=(names.PLURAL, names.REQUEST_PLURAL), help="of this kind only")
    crd.add_argument("--apply", action="store_true", help="write them to the cluster instead (server-side apply)")
    crd.add_argument("--existing", action="store_true", help="with --apply: only over kinds that are there")
    crd.add_argument("--kubeconfig", default="", help="left out: the pod's ServiceAccount")
    run = commands.add_parser("run", help="watch environments and bring them to what their specs ask for")
    run.add_argument("--namespace", action="append", default=[], help="repeatable; left out: the whole cluster")
    run.add_argument("--lease", default="payment-operator", help="name of the Lease")
    run.add_argument("--lease-namespace", default="", help="left out: POD_NAMESPACE")
    run.add_argument("--host", help="of /healthz, /readyz and /metrics; left out: every address, IPv4 and IPv6")
    run.add_argument("--port", type=int, default=8080)
    run.add_argument("--resync", type=float, default=30.0, metavar="SECONDS", help="time between two full reads")
    run.add_argument(
        "--allow-unsafe-pod-templates", action="store_true", help="take host paths, privileges, other images in specs"
    )
    run.add_argument(
        "--request-policy",
        default="",
        metavar="NAME",
        help="the ValidatingAdmissionPolicy, and its binding, that vouches for who makes a request",
    )
    run.add_argument("--kubeconfig", default="", help="left out: the pod's ServiceAccount")
    return parser


def _crd(kind: str | None, *, apply: bool, existing: bool, kubeconfig: str) -> None:
    if not apply:
        wanted = [kind] if kind else list(crd_manifests())
        print("---\n".join(crd_yaml(plural) for plural in wanted), end="")  # noqa: T201 - the command's answer
        return
    from payment_operator.runtime.process import apply_crd  # noqa: PLC0415 - printing must not load the client library

    if not asyncio.run(apply_crd(kubeconfig, existing=existing)):
        print("A kind is not there: a first sync brings it, else kubectl apply --server-side -f chart/crds.")  # noqa: T201 - as above


def _run(given: argparse.Namespace) -> int:
    from payment_operator.logs import configure  # noqa: PLC0415 - `crd` must not load the client library
    from payment_operator.runtime.process import Options, run  # noqa: PLC0415

    configure(os.environ.get("LOG_LEVEL", "INFO"))
    if given.kubeconfig:
        os.environ["KUBECONFIG"] = given.kubeconfig  # Kopf reads it there
    options = Options(
        namespaces=given.namespace,
        lease=given.lease,
        lease_namespace=given.lease_namespace,
        host=given.host,
        port=given.port,
        resync=given.resync,
        kubeconfig=given.kubeconfig,
        unsafe_pods=given.allow_unsafe_pod_templates,
        request_policy=given.request_policy,
    )
    return asyncio.run(run(options))

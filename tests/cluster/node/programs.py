"""Build the programs that the tests need from their pinned Go modules, each once a version."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.node import modules
from tests.cluster.node.layout import TOOLS, Layout, layout
from tests.cluster.node.modules import Module

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KUBERNETES = "1.37.2"
_VERSION = "k8s.io/component-base/version"
_CLIENT_VERSION = "k8s.io/client-go/pkg/version"


@dataclass(frozen=True)
class Program:
    """One program: the module below tools/, the package in it, and the minutes it takes on two cores from nothing."""

    name: str
    module: str
    version: str
    package: str = "."
    minutes: float = 1
    tags: str = ""
    flags: str = ""
    names: tuple[str, ...] = ()
    patched: tuple[tuple[str, Module], ...] = field(default=(), repr=False)
    """Folders below the module's that hold our files of another module: its own are copied under them."""


def _stamp(version: str) -> str:
    return " ".join(
        f"-X {package}.gitVersion=v{version} -X {package}.gitMajor=1 -X {package}.gitMinor={version.split('.')[1]}"
        for package in (_VERSION, _CLIENT_VERSION)
    )


_PROMETHEUS = "github.com/prometheus/prometheus/cmd"
_OPERATOR = "github.com/prometheus-operator/prometheus-operator/cmd"
_PROMETHEUS_TAGS = "netgo,remove_all_sd,enable_kubernetes_sd"
_LEGO = Module("github.com/go-acme/lego/v5", "v5.4.1", "h1:Jt6xAP9xQrJ3SLLGgxejfDDd3pzdrmuLCWe4oTqHHQc=")
_EVALUATOR = Module("sigs.k8s.io/kube-network-policies", "v0.8.0", "h1:dzecRNzdmg+VmHEQWTIjxnCgf412J+8CKHqbKgCiWkk=")
CORE = (
    Program(
        "hyperkube",
        "kubernetes",
        KUBERNETES,
        minutes=11,
        flags=_stamp(KUBERNETES),
        names=("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet"),
    ),
    Program("etcd", "etcd", "3.7.3", "go.etcd.io/etcd/server/v3", names=("etcd",)),
    Program("coredns", "coredns", "1.15.0", minutes=1.5),
    Program("pause", "pause", "1", minutes=0.1),
)
ADDONS = (
    Program("metrics-server", "metrics-server", "0.9.0", "sigs.k8s.io/metrics-server/cmd/metrics-server", 3),
    Program("prometheus", "prometheus", "3.16.0", f"{_PROMETHEUS}/prometheus", 3, _PROMETHEUS_TAGS),
    Program("prometheus-operator", "prometheus-operator", "0.88.0", f"{_OPERATOR}/operator"),
    Program(
        "prometheus-config-reloader", "prometheus-operator", "0.88.0", f"{_OPERATOR}/prometheus-config-reloader", 0.1
    ),
    Program(
        "traefik",
        "traefik",
        "3.7.13",
        "github.com/traefik/traefik/v3/cmd/traefik",
        minutes=5,
        patched=(("lego", _LEGO),),  # without the 180 vendors' clients that it links
    ),
    Program("cert-manager", "cert-manager", "1.21.2", minutes=2),
)
CHECKERS = (
    Program("helm", "helm", "3.22.0", "helm.sh/helm/v3/cmd/helm", 1.5),
    Program("kubeconform", "kubeconform", "0.8.0", "github.com/yannh/kubeconform/cmd/kubeconform", 0.1),
    Program("kube-score", "kube-score", "1.20.0", "github.com/zegl/kube-score/cmd/kube-score", 0.5),
    Program("actionlint", "actionlint", "1.7.12", "github.com/rhysd/actionlint/cmd/actionlint", 0.5),
    Program("stripe-mock", "stripe-mock", "0.203.0", "github.com/stripe/stripe-mock", 0.1),
    Program(
        "policy-evaluator",
        "policy-evaluator",
        "0.8.0",
        minutes=0.7,
        patched=(("evaluator", _EVALUATOR),),  # one file of ours exports what decides; its data plane needs NFQUEUE
    ),
    Program("promtool", "prometheus", "3.16.0", f"{_PROMETHEUS}/promtool", 2, _PROMETHEUS_TAGS),
)
GROUPS = {"core": CORE, "addons": ADDONS, "checkers": CHECKERS}
PROGRAMS = {program.name: program for programs in GROUPS.values() for program in programs}


def _digest(program: Program) -> str:
    """Name the exact source: another pin or another main.go is another program."""
    files = sorted(path for path in (TOOLS / program.module).rglob("*") if path.is_file())
    content = b"".join(path.name.encode() + path.read_bytes() for path in files)
    description = repr(program) + "".join(map(repr, program.patched))
    return hashlib.sha256(content + description.encode()).hexdigest()[:10]


def path(name: str, *, where: Layout | None = None) -> Path:
    """Return where the named program lies, whether or not it is built yet."""
    program = PROGRAMS[name]
    folder = f"{program.name}-{program.version}-{_digest(program)}"
    return (where or layout()).programs / folder / program.name


def alias(name: str, *, of: str, where: Layout | None = None) -> Path:
    """Return the link under which one program of a combined one is started."""
    return path(of, where=where).parent / name


def missing(programs: Sequence[Program], *, where: Layout | None = None) -> list[Program]:
    """Return those that are not built at the pinned version."""
    return [program for program in programs if not path(program.name, where=where).exists()]


def _command(program: Program, *, output: Path) -> list[str]:
    tags = [f"-tags={program.tags}"] if program.tags else []
    linker = f"-s -w {program.flags}".strip()
    return ["go", "build", "-trimpath", *tags, "-ldflags", linker, "-o", str(output), program.package]


@contextmanager
def _source(program: Program) -> Iterator[Path]:
    """Yield the folder to build in: the one below tools/, or a copy of it beside patched modules."""
    if not program.patched:
        yield TOOLS / program.module
        return
    with tempfile.TemporaryDirectory(prefix=f"lean-payments-{program.name}-") as name:
        folder = Path(name) / program.module
        shutil.copytree(TOOLS / program.module, folder)
        for below, module in program.patched:
            ours = TOOLS / program.module / below
            shutil.rmtree(folder / below)
            for layer in (modules.fetch(module), ours):
                shutil.copytree(layer, folder / below, dirs_exist_ok=True, copy_function=shutil.copyfile)
                for path in (folder / below, *(folder / below).rglob("*/")):
                    path.chmod(0o755)  # the module cache is read-only
        yield folder


def build(program: Program, *, where: Layout | None = None) -> None:
    """Build one program; it appears under its final name only when it is complete.

    Raises:
        RuntimeError: go is not installed.
        subprocess.CalledProcessError: the compiler refused.
    """
    if not shutil.which("go"):
        raise RuntimeError("go ≥ 1.26 is needed to build the cluster's programs: install it, or set TEST_KUBECONFIG")
    target = path(program.name, where=where)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    # The same settings for every program: the compiled Kubernetes libraries are then shared between them.
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    with _source(program) as folder:
        subprocess.run(_command(program, output=partial), cwd=folder, env=environment, check=True)
    for name in program.names:
        link = target.with_name(name)
        if link != target and not link.is_symlink():
            link.symlink_to(target.name)
    partial.rename(target)


def build_all(programs: Sequence[Program], *, where: Layout | None = None) -> None:
    """Build what is missing, saying before each program what is left."""
    todo = missing(programs, where=where)
    for index, program in enumerate(todo, start=1):
        left = sum(other.minutes for other in todo[index - 1 :])
        label = f"[{index}/{len(todo)}] {program.name} {program.version}"
        sys.stdout.write(f"{label}: building (≤ {left:.0f} min left on two cores from nothing)\n")
        sys.stdout.flush()
        started = time.monotonic()
        build(program, where=where)
        sys.stdout.write(f"{label}: built in {time.monotonic() - started:.0f} s\n")

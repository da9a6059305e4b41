"""The command lines of etcd and of Kubernetes' control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cluster.node import programs
from tests.cluster.node.layout import API_PORT, ETCD_PORT, HOST, POD_CIDR, SERVICE_CIDR, Layout

if TYPE_CHECKING:
    from pathlib import Path

_ETCD = f"http://127.0.0.1:{ETCD_PORT}"
# With the default 20/30 the controllers' tokens are made one after the other: the boot takes 6 s longer.
_RATE = ("--kube-api-qps=300", "--kube-api-burst=600")


def _kubernetes(place: Layout, name: str) -> Path:
    return programs.alias(name, of="hyperkube", where=place)


def etcd(place: Layout) -> list[str | Path]:
    """Return etcd's command: one member on the loopback, no sync to disk (a test cluster need not survive a crash)."""
    peer = f"http://127.0.0.1:{ETCD_PORT + 1}"
    return [
        programs.path("etcd", where=place),
        f"--data-dir={place.run / 'etcd'}",
        f"--listen-client-urls={_ETCD}",
        f"--advertise-client-urls={_ETCD}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
    ]


def api_server(place: Layout) -> list[str | Path]:
    """Return kube-apiserver's command."""
    pki = place.pki
    return [
        _kubernetes(place, "kube-apiserver"),
        f"--etcd-servers={_ETCD}",
        f"--bind-address={HOST}",
        f"--advertise-address={HOST}",
        f"--secure-port={API_PORT}",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        f"--cert-dir={pki}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--kubelet-client-certificate={pki / 'apiserver-kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'apiserver-kubelet-client.key'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-key-file={pki / 'tokens.key'}",
        f"--service-account-signing-key-file={pki / 'tokens.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki / 'front-proxy.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy.key'}",
        "--enable-aggregator-routing=true",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
    ]


def controller_manager(place: Layout) -> list[str | Path]:
    """Return kube-controller-manager's command: an autoscaler that reacts within a test's patience."""
    pki = place.pki
    config = place.run / "kube-controller-manager.kubeconfig"
    return [
        _kubernetes(place, "kube-controller-manager"),
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        f"--bind-address={HOST}",
        f"--cert-dir={pki}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--service-account-private-key-file={pki / 'tokens.key'}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        f"--cluster-cidr={POD_CIDR}",
        "--horizontal-pod-autoscaler-sync-period=5s",
        "--horizontal-pod-autoscaler-downscale-stabilization=30s",
        "--horizontal-pod-autoscaler-cpu-initialization-period=20s",
        "--horizontal-pod-autoscaler-initial-readiness-delay=5s",
        *_RATE,
    ]


def scheduler(place: Layout) -> list[str | Path]:
    """Return kube-scheduler's command."""
    config = place.run / "kube-scheduler.kubeconfig"
    return [
        _kubernetes(place, "kube-scheduler"),
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        f"--bind-address={HOST}",
        f"--cert-dir={place.pki}",
        "--leader-elect=false",
        *_RATE,
    ]

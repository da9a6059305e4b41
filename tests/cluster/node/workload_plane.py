"""The command lines and configuration files of what runs pods: containerd, kubelet, kube-proxy, CoreDNS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.cluster.node import programs
from tests.cluster.node.layout import BRIDGE, HOST, NETWORK, NODE, PAUSE, POD_CIDR, POD_SUBNET, Layout

if TYPE_CHECKING:
    from pathlib import Path

_RUNTIME = 'plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc'


def containerd(place: Layout) -> list[str | Path]:
    """Write containerd's and CNI's configuration and return its command."""
    cni = place.run / "cni"
    cni.mkdir(parents=True, exist_ok=True)
    (cni / "pods.conflist").write_text(json.dumps(_pod_network(place)))
    config = place.run / "containerd.toml"
    config.write_text(f"""version = 2
root = "{place.store}"
state = "{place.run / "containerd"}"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
address = "{place.socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = true
enable_unprivileged_ports = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{cni}"
[{_RUNTIME}]
runtime_type = "io.containerd.runc.v2"
[{_RUNTIME}.options]
Root = "{place.run / "runc"}"
""")
    return ["containerd", "--config", config]


def _pod_network(place: Layout) -> dict[str, Any]:
    addresses = {
        "type": "host-local",
        "dataDir": str(place.run / "addresses"),
        "ranges": [[{"subnet": POD_SUBNET, "rangeStart": "10.250.0.10"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "hairpinMode": True,
        "ipMasq": False,
        "ipam": addresses,
    }
    return {"cniVersion": "0.4.0", "name": NETWORK, "plugins": [bridge]}


def _kubelet_configuration(place: Layout) -> dict[str, Any]:
    client = {"clientCAFile": str(place.pki / "ca.crt")}
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": HOST,
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}, "x509": client},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(place.pki / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(place.pki / "kubelet-server.key"),
        "clusterDNS": [HOST],
        "clusterDomain": "cluster.local",
        "resolvConf": str(place.run / "resolv.conf"),
        "containerRuntimeEndpoint": f"unix://{place.socket}",
        "podLogsDir": str(place.run / "pod-logs"),
        "volumePluginDir": str(place.run / "volume-plugins"),
        "failCgroupV1": False,
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "cgroupDriver": "cgroupfs",
        "makeIPTablesUtilChains": False,
        "oomScoreAdj": 0,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "24h",
        "evictionHard": {"memory.available": "1Mi", "nodefs.available": "0.1%", "imagefs.available": "0.1%"},
        "syncFrequency": "2s",
        "maxPods": 150,
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "serializeImagePulls": False,
    }


def kubelet(place: Layout) -> list[str | Path]:
    """Write kubelet's configuration and return its command."""
    config = place.run / "kubelet.json"
    config.write_text(json.dumps(_kubelet_configuration(place)))
    (place.run / "resolv.conf").write_text(f"nameserver {HOST}\n")
    return [
        programs.alias("kubelet", of="hyperkube", where=place),
        f"--config={config}",
        f"--kubeconfig={place.run / 'kubelet.kubeconfig'}",
        f"--root-dir={place.run / 'kubelet'}",
        f"--cert-dir={place.pki}",
        f"--hostname-override={NODE}",
        f"--node-ip={HOST}",
    ]


def kube_proxy(place: Layout) -> list[str | Path]:
    """Write kube-proxy's configuration (nftables) and return its command."""
    config = place.run / "kube-proxy.json"
    content = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(place.run / "kube-proxy.kubeconfig")},
        "clusterCIDR": POD_CIDR,
        "hostnameOverride": NODE,
        "bindAddress": HOST,
        "nodePortAddresses": [f"{HOST}/32"],
        "oomScoreAdj": 0,
        "nftables": {"minSyncPeriod": "0.1s", "syncPeriod": "30s"},
        "conntrack": {"maxPerCore": 0},
    }
    config.write_text(json.dumps(content))
    return [programs.alias("kube-proxy", of="hyperkube", where=place), f"--config={config}"]


def coredns(place: Layout) -> list[str | Path]:
    """Write the Corefile and return CoreDNS's command: the cluster's names only, nothing is forwarded."""
    corefile = place.run / "Corefile"
    corefile.write_text(f""".:53 {{
    bind {HOST}
    errors
    health {HOST}:8080
    ready {HOST}:8181
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {place.run / "host-program.kubeconfig"}
        pods insecure
    }}
    cache 5
    loadbalance
}}
""")
    return [programs.path("coredns", where=place), "-conf", corefile]

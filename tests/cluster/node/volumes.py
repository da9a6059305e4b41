"""Volumes that outlive pods: folders of this machine behind a default StorageClass, gone with the cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.cluster.node.layout import Layout

CLASS = "standard"
SPARE = 4  # for people who apply k8s/dev by hand; tests ask for their own


def storage_class() -> dict[str, Any]:
    """Return the default class: it makes nothing, claims wait for a volume of `provide`."""
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": default},
        "provisioner": "kubernetes.io/no-provisioner",
    }


def provide(place: Layout, name: str, *, claim: tuple[str, str] | None = None) -> str:
    """Make a folder that any user may write to and return the manifests of its volume, as JSON.

    Args:
        place: the cluster's folders.
        name: the volume's name.
        claim: namespace and name of the only claim that may have it.
    """
    folder = place.run / "volumes" / name
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o777)  # kubelet gives the pod's group access to many kinds of volumes, not to hostPath
    spec: dict[str, Any] = {
        "capacity": {"storage": "5Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": CLASS,
        "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": str(folder), "type": "Directory"},
    }
    if claim:
        spec["claimRef"] = {"namespace": claim[0], "name": claim[1]}
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [storage_class(), volume]})

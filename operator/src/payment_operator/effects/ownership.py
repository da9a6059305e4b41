"""Ours only: nothing is written over that does not carry the environment's owner reference."""

from collections.abc import Collection
from typing import Final

from payment_operator.clients.protocols import Kubernetes
from payment_operator.errors import Conflict, NameTaken
from payment_operator.model.actions import key_of
from payment_operator.model.observed import Key, Observed
from payment_operator.resources.credentials import references
from payment_operator.resources.metadata import Manifest, Owner

NEVER: Final = "1"
"""A version that no stored object has: etcd's first write is its second revision. What is not there is made for all
that it names a version; what is there is a conflict."""


async def apply(cluster: Kubernetes, observed: Observed, manifest: Manifest) -> Manifest:
    """Apply an object that is ours or does not exist.

    Raises:
        NameTaken: it is somebody else's.
        Conflict: it is another one than was read.
    """
    live = observed.objects.get(key_of(manifest)) or await _live(cluster, observed.owner, manifest, _named(observed))
    # it may have been replaced by somebody's in between, or have been made: an apply without a precondition would merge
    only = {"resourceVersion": NEVER} if live is None else {"uid": live["metadata"]["uid"]}
    manifest = manifest | {"metadata": manifest["metadata"] | only}
    return await cluster.apply(manifest, force=live is not None)


async def create(cluster: Kubernetes, owner: Owner, manifest: Manifest) -> bool:
    """Make an object; tell whether it was not there before.

    Raises:
        NameTaken: it is somebody else's.
    """
    try:
        await cluster.create(manifest)
    except Conflict:
        await _live(cluster, owner, manifest)
        return False
    return True


def _named(observed: Observed) -> set[Key]:
    """The Secrets that the spec takes values from: nobody is told to remove one."""
    return {("Secret", reference.name) for reference in references(observed.spec).values()}


async def _live(cluster: Kubernetes, owner: Owner, manifest: Manifest, named: Collection[Key] = ()) -> Manifest | None:
    kind, name = key_of(manifest)
    live = await cluster.get(kind, owner.namespace, name)
    if live is None or owner.owns(live):
        return live
    if (kind, name) in named:
        raise NameTaken(
            f"the spec takes values from it, and it has the name of the operator's own copy: it is left alone; copy "
            f"it under another name and name that in the spec, then remove {name}"
        )
    others = ", ".join(f"{entry['kind']} {entry['name']}" for entry in live["metadata"].get("ownerReferences") or [])
    whose = f"belongs to {others}, not to this environment" if others else "has no owner reference to this environment"
    raise NameTaken(
        f"it {whose}: remove it (`kubectl delete {kind.lower()} {name}`), give the "
        f"environment another name, or give the object an owner reference to the environment's uid {owner.uid}"
    )

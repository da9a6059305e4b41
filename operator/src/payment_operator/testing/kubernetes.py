"""An API server in memory, for the kinds that the operator reads and writes; nothing in it happens by itself.

What it is strict about, and where Kubernetes says so:
- each write that changes something makes a new `resourceVersion`; one that changes nothing makes none, and one over
  another version than the stored one is a conflict (kubernetes.io/docs/reference/using-api/api-concepts/
  #resource-versions; git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md
  #concurrency-control-and-consistency);
- a JSON patch whose test fails or whose place is not there changes nothing (RFC 6902; `json_patch.py`);
- server-side apply knows its managers (`field_managers.py`);
- `status` is written through its subresource alone, and that writes nothing else
  (kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#status-subresource);
- what is immutable stays as it is (`immutable.py`);
- a delete names its object by uid, waits for finalizers, and takes the dependents with it
  (kubernetes.io/docs/concepts/architecture/garbage-collection/).

It validates no schema, fills in no default and runs no controller: a test that needs pods makes them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from payment_operator import names
from payment_operator.clients.kubernetes import NOT_AS_READ, UNPROCESSABLE
from payment_operator.errors import ApiError, Conflict, NotThere, OperatorError, Refused
from payment_operator.resources.metadata import Manifest
from payment_operator.resources.release_record import stamp
from payment_operator.testing import field_managers
from payment_operator.testing.field_managers import Owned
from payment_operator.testing.immutable import immutable_field
from payment_operator.testing.json_patch import NotDone, copied, patched
from payment_operator.testing.refusals import NEWER, Place, conflict, not_that_one, told
from payment_operator.testing.selectors import selecting

WITH_STATUS: Final = frozenset(
    {names.KIND, names.REQUEST_KIND, "Deployment", "Job", "Pod", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
)
APPLY: Final = f"{names.MANAGER} (apply)"
UPDATE: Final = f"{names.MANAGER} (update)"
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)


def _admit(verb: str, kind: str, name: str) -> OperatorError | None:
    """Refuse nothing."""


@dataclass
class InMemoryKubernetes:
    """The API server; `admit` may refuse a write, as an admission policy, a quota or RBAC does."""

    now: Callable[[], datetime] = lambda: _START
    admit: Callable[[str, str, str], OperatorError | None] = _admit
    objects: dict[Place, Manifest] = field(default_factory=dict)
    """As they are stored; what is read or written is a copy."""
    logs: dict[str, str] = field(default_factory=dict)
    """Of Jobs' pods, by name."""
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    """Writes that were asked for: verb, kind, name."""
    writes: int = 0
    """Those that have changed something."""
    _owned: dict[Place, Owned] = field(default_factory=dict)
    _made: int = 0

    # what the operator asks

    async def list_all(
        self, kind: str, namespace: str | None, *, selector: str = "", fields: str = ""
    ) -> list[Manifest]:
        """All objects of a kind that the selectors fit."""
        fits = selecting(selector, fields)
        found = [item for place, item in self.objects.items() if place[0] == kind and namespace in (None, place[1])]
        return [{"kind": kind} | copied(item) for item in found if fits(item)]

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """One object, None when it does not exist."""
        found = self.objects.get((kind, namespace, name))
        return None if found is None else dict(copied(found))

    async def apply(self, manifest: Manifest, *, force: bool = True) -> Manifest:
        """Server-side apply under the operator's field manager."""
        return self.applied(manifest, manager=APPLY, force=force)

    async def create(self, manifest: Manifest) -> Manifest:
        """Make an object."""
        place = _place(manifest)
        self._admitted("create", place)
        if place in self.objects:
            raise Conflict(409, "AlreadyExists", f'{place[0]} "{place[2]}" already exists')
        return self._store(place, None, manifest, manager=UPDATE)

    async def replace(self, manifest: Manifest) -> Manifest:
        """Write a whole object over the version that was read."""
        place = _place(manifest)
        self._admitted("replace", place)
        live = self._there(place)
        self._check_version(place, live, manifest["metadata"])
        return self._store(place, live, manifest, manager=UPDATE)

    async def patch(
        self, kind: str, namespace: str, name: str, operations: Sequence[Manifest], *, subresource: str = ""
    ) -> Manifest:
        """JSON patch of the object, or of its status alone."""
        place = (kind, namespace, name)
        self._admitted("patch", place)
        live = self._there(place)
        try:
            after = patched(live, operations)
        except NotDone as error:
            raise Conflict(UNPROCESSABLE, "Invalid", NOT_AS_READ) from error
        if subresource == "status":
            after = live | {"status": after.get("status")}
        elif subresource:
            raise NotThere(404, "NotFound", f"{kind} has no {subresource}")
        self._check_version(place, live, after["metadata"])
        return self._store(place, live, after, manager=UPDATE, status=bool(subresource))

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str) -> None:
        """Delete that very object; one that does not exist is deleted already."""
        place = (kind, namespace, name)
        self._admitted("delete", place)
        if (live := self.objects.get(place)) is None:
            return
        if live["metadata"]["uid"] != uid:
            raise not_that_one(place, uid, live)
        self.remove(place)

    async def log(self, namespace: str, pod: str) -> str:
        """What a Job's pod has written."""
        if ("Pod", namespace, pod) not in self.objects:
            raise NotThere(404, "NotFound", f'pods "{pod}" not found')
        return self.logs.get(pod, "")

    # what others do

    def applied(self, manifest: Manifest, *, manager: str, force: bool = False) -> Manifest:
        """Server-side apply, by any manager."""
        place = _place(manifest)
        self._admitted("apply", place)
        live, owned = self.objects.get(place), self._owned.get(place, {})
        metadata, manifest = manifest["metadata"], _without_status(manifest)
        if live is None:
            if metadata.get("uid"):
                raise conflict(
                    place, f"uid mismatch: {metadata['uid']} was specified, and no existing object was found"
                )
            return self._store(place, None, manifest, manager=manager)
        self._check_version(place, live, metadata)
        lost = field_managers.conflicts(live, manifest, owned, manager=manager)
        if lost and not force:
            raise Conflict(409, "Conflict", told(lost))
        after = field_managers.applied(live, manifest, owned, manager=manager)
        stored = self._store(place, live, after, manager="")
        self._owned[place] = field_managers.taken(manifest, owned, manager=manager, lost=lost)
        return stored

    def put(self, manifest: Manifest, *, manager: str = "somebody") -> Manifest:
        """Make an object or write it whole, status included, as a controller or a person does."""
        place = _place(manifest)
        live = self.objects.get(place)
        return self._store(place, live, manifest, manager=manager, status=True)

    def edit(self, place: Place, change: Callable[[Manifest], object], *, manager: str = "somebody") -> Manifest:
        """Change an object in place, status included, as a controller or a person does."""
        after = copied(self._there(place))
        change(after)
        return self._store(place, self.objects[place], after, manager=manager, status=True)

    def remove(self, place: Place) -> None:
        """Delete an object and its dependents; one with finalizers only begins to go."""
        live = self._there(place)
        self.writes += 1
        if live["metadata"].get("finalizers"):
            live["metadata"].setdefault("deletionTimestamp", stamp(self.now()))
            live["metadata"]["resourceVersion"] = self._next()
            return
        del self.objects[place]
        self._owned.pop(place, None)
        for dependent in [other for other, item in self.objects.items() if _belongs(item, live["metadata"]["uid"])]:
            if dependent in self.objects:
                self.remove(dependent)

    def managers(self, place: Place) -> Owned:
        """Who has which field."""
        return self._owned.get(place, {})

    # inside

    def _admitted(self, verb: str, place: Place) -> None:
        self.calls.append((verb, place[0], place[2]))
        if (error := self.admit(verb, place[0], place[2])) is not None:
            raise error

    def _there(self, place: Place) -> Manifest:
        if (live := self.objects.get(place)) is None:
            raise NotThere(404, "NotFound", f'{place[0]} "{place[2]}" not found')
        return live

    def _check_version(self, place: Place, live: Manifest, metadata: Manifest) -> None:
        """Whether a write names the object and the version that it is about."""
        if (uid := metadata.get("uid")) and uid != live["metadata"]["uid"]:
            raise not_that_one(place, uid, live)
        version = metadata.get("resourceVersion", "")
        if not version and place[0] == "Lease":
            raise Refused(UNPROCESSABLE, "Invalid", "metadata.resourceVersion: must be specified for an update")
        if version and version != live["metadata"]["resourceVersion"]:
            raise conflict(place, NEWER)

    def _store(
        self, place: Place, live: Manifest | None, wanted: Manifest, *, manager: str, status: bool = False
    ) -> Manifest:
        after = copied(wanted)
        if live is None:
            self._begin(place, after, status=status)
        else:
            self._carry_on(place, live, after, status=status)
            if after == live:
                return dict(copied(live))
        after["metadata"]["resourceVersion"] = self._next()
        if manager:
            self._owned[place] = field_managers.changed(live or {}, after, self._owned.get(place, {}), manager=manager)
        self.writes += 1
        self.objects[place] = after
        return dict(copied(after))

    def _begin(self, place: Place, after: Manifest, *, status: bool) -> None:
        metadata = after["metadata"]
        if metadata.get("resourceVersion"):
            raise ApiError(500, "InternalError", "resourceVersion should not be set on objects to be created")
        if place[0] in WITH_STATUS and not status:
            after.pop("status", None)
        metadata.setdefault("uid", f"uid-{self._made + 1}-{place[2]}")
        metadata.setdefault("creationTimestamp", stamp(self.now()))
        metadata.setdefault("generation", 1)

    def _carry_on(self, place: Place, live: Manifest, after: Manifest, *, status: bool) -> None:
        former, metadata = live["metadata"], after["metadata"]
        metadata |= {name: former[name] for name in ("uid", "creationTimestamp", "generation", "resourceVersion")}
        if place[0] in WITH_STATUS and not status:
            after.pop("status", None)
            after |= {"status": copied(live["status"])} if "status" in live else {}
        if where := immutable_field(live, after):
            raise Refused(UNPROCESSABLE, "Invalid", f'{place[0]} "{place[2]}" is invalid: {where}')
        metadata["generation"] += live.get("spec") != after.get("spec")

    def _next(self) -> str:
        self._made += 1
        return str(self._made)


def _place(manifest: Manifest) -> Place:
    return manifest["kind"], manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]


def _without_status(manifest: Manifest) -> Manifest:
    return {name: value for name, value in manifest.items() if name != "status" or manifest["kind"] not in WITH_STATUS}


def _belongs(item: Manifest, uid: str) -> bool:
    return any(entry.get("uid") == uid for entry in item["metadata"].get("ownerReferences") or [])

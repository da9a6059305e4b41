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
- what is immutable or the server's own stays as it is (`immutable.py`, `metadata.py`), and kinds differ (`kinds.py`);
- a delete names its object by uid, waits for finalizers, and takes along what has no other owner
  (kubernetes.io/docs/concepts/architecture/garbage-collection/).

Tests hold it to the same scenarios as a real one. It knows no namespaces as objects, validates no schema, fills in no
default and runs no controller: a test that needs pods makes them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from payment_operator import names
from payment_operator.clients.kubernetes import NOT_AS_READ, UNPROCESSABLE
from payment_operator.errors import ApiError, Conflict, NotThere, OperatorError
from payment_operator.resources.metadata import Manifest
from payment_operator.testing import field_managers, metadata, refusals
from payment_operator.testing.field_managers import Manager, Owned
from payment_operator.testing.json_patch import NotDone, copied, patched
from payment_operator.testing.kinds import MADE_BY_REPLACE, VERSION_NEEDED, WITH_STATUS
from payment_operator.testing.refusals import Place
from payment_operator.testing.selectors import selecting

APPLY: Final = Manager(names.MANAGER, "Apply")
UPDATE: Final = Manager(names.MANAGER, "Update")
GARBAGE: Final = "kube-controller-manager"
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
    _made: int = 1
    """Of etcd's revisions, the first of which is the empty store's."""

    # what the operator asks

    async def list_all(
        self, kind: str, namespace: str | None, *, selector: str = "", fields: str = ""
    ) -> list[Manifest]:
        """All objects of a kind that the selectors fit."""
        fits = selecting(kind, selector, fields)
        found = [(place, item) for place, item in self.objects.items() if place[0] == kind]
        return [
            {"kind": kind} | copied(item)
            for place, item in sorted(found, key=lambda entry: "/".join(entry[0]))  # as etcd has its keys
            if namespace in (None, place[1]) and fits(item)
        ]

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """One object, None when it does not exist."""
        found = self.objects.get((kind, namespace, name))
        return None if found is None else dict(copied(found))

    async def apply(self, manifest: Manifest, *, force: bool = True) -> Manifest:
        """Server-side apply under the operator's field manager."""
        return self.applied(manifest, manager=names.MANAGER, force=force)

    async def create(self, manifest: Manifest) -> Manifest:
        """Make an object."""
        place = _place(manifest)
        self._admitted("create", place)
        if manifest["metadata"].get("resourceVersion"):
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
        if place in self.objects:
            raise refusals.already_there(place)
        return self._store(place, None, metadata.without_the_servers(manifest), manager=UPDATE)

    async def replace(self, manifest: Manifest) -> Manifest:
        """Write a whole object over the version that was read."""
        place = _place(manifest)
        self._admitted("replace", place)
        live, uid = self.objects.get(place), manifest["metadata"].get("uid", "")
        if live is None and place[0] not in MADE_BY_REPLACE:
            raise refusals.not_there(place)
        if uid and uid != (there := live["metadata"]["uid"] if live else ""):
            raise refusals.precondition(place, uid, there)
        if live is None:
            return self._store(place, None, metadata.without_the_servers(manifest), manager=UPDATE)
        if place[0] in VERSION_NEEDED and not manifest["metadata"].get("resourceVersion"):
            raise refusals.invalid(place, "metadata.resourceVersion: Invalid value: 0: must be specified for an update")
        self._check_version(place, live, manifest)
        return self._store(place, live, manifest, manager=UPDATE)

    async def patch(
        self, kind: str, namespace: str, name: str, operations: Sequence[Manifest], *, subresource: str = ""
    ) -> Manifest:
        """JSON patch of the object, or of its status alone."""
        place = (kind, namespace, name)
        self._admitted("patch", place)
        if subresource and (subresource != "status" or kind not in WITH_STATUS):
            raise NotThere(404, "NotFound", "the server could not find the requested resource")
        live = self._there(place)
        try:
            after = patched(live, operations)
        except NotDone as error:
            raise Conflict(UNPROCESSABLE, "Invalid", NOT_AS_READ) from error
        metadata.check_names(place, after)
        self._check_uid(place, live, after)
        self._check_version(place, live, after)
        if subresource:
            after = live | {"status": after.get("status")}
        return self._store(place, live, after, manager=UPDATE, status=bool(subresource))

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str) -> None:
        """Delete that very object; one that does not exist is deleted already."""
        place = (kind, namespace, name)
        self._admitted("delete", place)
        if (live := self.objects.get(place)) is None:
            return
        if live["metadata"]["uid"] != uid:
            raise refusals.not_to_delete(place, uid, live["metadata"]["uid"])
        self.remove(place)

    async def log(self, namespace: str, pod: str) -> str:
        """What a Job's pod has written."""
        if ("Pod", namespace, pod) not in self.objects:
            raise refusals.not_there(("Pod", namespace, pod))
        return self.logs.get(pod, "")

    # what others do

    def applied(self, manifest: Manifest, *, manager: str, force: bool = False) -> Manifest:
        """Server-side apply, by any manager."""
        place, who = _place(manifest), Manager(manager, "Apply")
        self._admitted("apply", place)
        live, owned = self.objects.get(place), self._owned.get(place, {})
        if live is None:
            if uid := manifest["metadata"].get("uid"):
                why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                raise refusals.conflict(place, why)
            return self._store(place, None, metadata.without_the_servers(manifest), manager=who)
        manifest = metadata.without_status(manifest)
        lost = field_managers.conflicts(live, manifest, owned, manager=who)
        if lost and not force:
            raise refusals.conflicting(lost, live)
        self._check_uid(place, live, manifest)
        self._check_version(place, live, manifest)
        after = field_managers.applied(live, manifest, owned, manager=who)
        taken = field_managers.taken(manifest, owned, manager=who, lost=lost)
        stored = self._store(place, live, after, manager=None, anew=taken != owned)
        if place in self.objects:
            self._owned[place] = taken
        return stored

    def put(self, manifest: Manifest, *, manager: str = "somebody") -> Manifest:
        """Make an object or write it whole, status included, as a controller or a person does."""
        place = _place(manifest)
        live = self.objects.get(place)
        return self._store(place, live, manifest, manager=Manager(manager, "Update"), status=True)

    def edit(self, place: Place, change: Callable[[Manifest], object], *, manager: str = "somebody") -> Manifest:
        """Change an object in place, status included, as a controller or a person does."""
        after = copied(self._there(place))
        change(after)
        return self._store(place, self.objects[place], after, manager=Manager(manager, "Update"), status=True)

    def remove(self, place: Place) -> None:
        """Delete an object and its dependents; one with finalizers only begins to go."""
        live = self._there(place)
        if not live["metadata"].get("finalizers"):
            self.writes += 1
            self._collect(place)
        elif "deletionTimestamp" not in live["metadata"]:
            self.writes += 1
            metadata.begin_to_go(live["metadata"], now=self.now())
            live["metadata"]["resourceVersion"] = self._next()

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
            raise refusals.not_there(place)
        return live

    def _check_uid(self, place: Place, live: Manifest, after: Manifest) -> None:
        """Whether a patch or an apply is about the object that is stored."""
        if (uid := after["metadata"].get("uid")) and uid != live["metadata"]["uid"]:
            raise refusals.other_uid(place, uid)

    def _check_version(self, place: Place, live: Manifest, after: Manifest) -> None:
        """Whether a write is about the version that is stored; one that names none is about any."""
        version = after["metadata"].get("resourceVersion")
        if version and version != live["metadata"]["resourceVersion"]:
            raise refusals.conflict(place, refusals.NEWER)

    def _store(
        self,
        place: Place,
        live: Manifest | None,
        wanted: Manifest,
        *,
        manager: Manager | None,
        status: bool = False,
        anew: bool = False,
    ) -> Manifest:
        """Store what is wanted, or nothing when it is stored already; `anew`, when whose the fields are has changed."""
        after = copied(wanted)
        if live is None:
            metadata.begin(place, after, uid=f"uid-{self._made + 1}-{place[2]}", now=self.now())
        else:
            metadata.carry_on(place, live, after, status=status)
            if after == live and not anew:
                return dict(copied(live))
        after["metadata"]["resourceVersion"] = self._next()
        if manager:
            self._owned[place] = field_managers.changed(live or {}, after, self._owned.get(place, {}), manager=manager)
        self.writes += 1
        self.objects[place] = after
        if live is not None and metadata.is_let_go(live, after):
            self._collect(place)
        return dict(copied(after))

    def _collect(self, place: Place) -> None:
        """Take an object away, and what has no other owner with it."""
        uid = self.objects.pop(place)["metadata"]["uid"]
        self._owned.pop(place, None)
        there = {item["metadata"].get("uid") for item in self.objects.values()}
        for dependent, item in list(self.objects.items()):
            references = item["metadata"].get("ownerReferences") or []
            if dependent not in self.objects or all(entry.get("uid") != uid for entry in references):
                continue
            if left := [entry for entry in references if entry.get("uid") in there]:
                self.put(item | {"metadata": item["metadata"] | {"ownerReferences": left}}, manager=GARBAGE)
            else:
                self.remove(dependent)

    def _next(self) -> str:
        self._made += 1
        return str(self._made)


def _place(manifest: Manifest) -> Place:
    return manifest["kind"], manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]

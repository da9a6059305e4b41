"""What one Stripe account holds in one mode: objects by id, and what the simulator knows beside them."""

from __future__ import annotations

import random
import secrets
from typing import TYPE_CHECKING, Any

from stripe_simulator.errors import missing
from stripe_simulator.storage import Stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from payment_service.clock import Clock
    from stripe_simulator.storage import Storage

API_VERSION = "2026-10-28.endive"
DEFAULT_ACCOUNT = "acct_simulator"
_RANDOM = random.Random(secrets.randbits(128))  # noqa: S311 - names of objects, one system call for all of them


def random_text(length: int) -> str:
    """Return random hexadecimal digits; not secret ones, nothing here is."""
    return f"{_RANDOM.getrandbits(4 * length):0{length}x}"


class State:
    """Objects by id; insertion order is the order of creation.

    Args:
        clock: real time: of events, signatures, payments, and of what waits at the API.
        billing: what a moved test clock tells, of all else; None: real time.
        account: whose objects these are.
        livemode: what `livemode` says on every object.
        storage: a file that keeps them; None: memory only.

    An object holds what the API shows and nothing else. What must not be shown stands in `hidden`, by the same id.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        billing: Clock | None = None,
        account: str = DEFAULT_ACCOUNT,
        livemode: bool = False,
        storage: Storage | None = None,
    ) -> None:
        self.clock = clock
        self.billing = billing or clock
        self.account = account
        self.livemode = livemode
        self.name = f"{account}/{'live' if livemode else 'test'}"
        self.objects: dict[str, dict[str, Any]] = {}
        self.by_kind: dict[str, dict[str, dict[str, Any]]] = {}
        self.request: dict[str, Any] = {"id": None, "idempotency_key": None}
        """The call that is executed: events name it (docs.stripe.com/api/events/object#event_object-request)."""
        self._hidden: dict[str, dict[str, Any]] = {}
        self._changed: dict[str, None] = {}
        self._storage = storage
        if storage is not None:
            for stored in storage.load(self.name):
                assert stored.body is not None
                self._put(stored.body, stored.hidden)
            self._relink()

    def _relink(self) -> None:
        """Let objects that hold others hold the same ones again after they were read from the file."""
        for item in self.by_kind.get("subscription_item", {}).values():
            item["price"] = self.objects.get(item["price"]["id"], item["price"])
        for subscription in self.by_kind.get("subscription", {}).values():
            items = subscription["items"]
            items["data"] = [self.objects.get(item["id"], item) for item in items["data"]]

    @property
    def now(self) -> int:
        """The time of customers, subscriptions and invoices, in whole seconds."""
        return int(self.billing.timestamp())

    @property
    def real_now(self) -> int:
        """The time that no test clock moves, in whole seconds.

        docs.stripe.com/billing/testing/test-clocks: they move the objects of Billing; payment intents keep real time
        (github.com/stripe/stripe-python/issues/1183).
        """
        return int(self.clock.timestamp())

    def new_id(self, prefix: str) -> str:
        """Return a new id such as `cus_…`."""
        return f"{prefix}_{_RANDOM.getrandbits(96):024x}"

    def _put(self, obj: dict[str, Any], hidden: dict[str, Any]) -> None:
        self.objects[obj["id"]] = obj
        self.by_kind.setdefault(obj["object"], {})[obj["id"]] = obj
        self._hidden[obj["id"]] = hidden

    def add(self, obj: dict[str, Any], **hidden: Any) -> dict[str, Any]:
        """Store a new object, and what is known of it but not shown."""
        self._put(obj, hidden)
        self._changed[obj["id"]] = None
        return obj

    def hidden(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Return what is known of an object but not shown; a change of it needs `touch`."""
        return self._hidden[obj["id"]]

    def touch(self, obj: dict[str, Any]) -> None:
        """Note that an object was changed."""
        self._changed[obj["id"]] = None

    def remove(self, obj: dict[str, Any]) -> None:
        """Forget an object."""
        self.objects.pop(obj["id"], None)
        self.by_kind[obj["object"]].pop(obj["id"], None)
        self._hidden.pop(obj["id"], None)
        self._changed[obj["id"]] = None

    def get(self, kind: str, object_id: str, *, param: str = "id", status: int = 404) -> dict[str, Any]:
        """Return an object; raises Stripe's `resource_missing`."""
        found = self.by_kind.get(kind, {}).get(object_id)
        if found is None or "deleted" in found:
            raise missing(kind, object_id, param=param, status=status)
        return found

    def referenced(self, kind: str, params: dict[str, Any], name: str) -> dict[str, Any]:
        """Return the object that a parameter names; an unknown one is a bad request, not a bad address."""
        return self.get(kind, str(params.get(name) or ""), param=name, status=400)

    def newest(self, kind: str) -> Iterator[dict[str, Any]]:
        """Yield the objects of a kind, newest first."""
        return reversed(self.by_kind.get(kind, {}).values())

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Return all objects of a kind, newest first."""
        return list(self.newest(kind))

    def count(self, kind: str) -> int:
        """Return how many objects of a kind there are."""
        return len(self.by_kind.get(kind, ()))

    def flush(self) -> None:
        """Write what changed to the file, in one transaction."""
        if self._storage is not None and self._changed:
            self._storage.write(
                self.name,
                [Stored(name, self.objects.get(name), self._hidden.get(name, {})) for name in self._changed],
            )
        self._changed.clear()

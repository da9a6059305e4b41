"""As much of a Stripe account in memory as the operator asks for: keys with permissions, webhook endpoints, events.

Strict as Stripe is: an unknown key is 401, a missing permission 403, a parameter that the operation does not have 400
(docs.stripe.com/api/errors); a POST with a known idempotency key is answered as before, and 400 with other parameters
(docs.stripe.com/api/idempotent_requests); an endpoint's secret is told at its creation alone, and an account has at
most sixteen (docs.stripe.com/webhooks).
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from payment_operator.clients.stripe_http import Form
from payment_operator.model.webhook import Endpoint

MOST_ENDPOINTS: Final = 16
SECRET: Final = "whsec_m"  # noqa: S105 - how one begins
CREATE: Final = frozenset({"url", "api_version", "description", "enabled_events[]"})
UPDATE: Final = frozenset({"url", "disabled", "description", "enabled_events[]"})
LISTED: Final = frozenset({"limit", "starting_after"})
EVENTS: Final = LISTED | {"delivery_success", "created[gte]", "created[lte]", "type"}
Answer = tuple[int, Any]
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Key:
    """An API key: of which account and mode, what it may not, and whether it is dead."""

    account: str = "acct_memory"
    livemode: bool = False
    lacks: frozenset[str] = frozenset()
    """Path segments that it has no permission for."""
    dead: bool = False


@dataclass
class StoredEvent:
    """An event that Stripe has not delivered to every endpoint."""

    id: str
    type: str
    created: int


@dataclass
class InMemoryStripe:
    """One account, and whatever keys there are; a key that is not in `keys` is `default`, or unknown without one."""

    keys: dict[str, Key] = field(default_factory=dict)
    default: Key | None = field(default_factory=Key)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    """Signing secrets by endpoint."""
    versions: dict[str, str] = field(default_factory=dict)
    """API versions by endpoint."""
    undelivered: list[StoredEvent] = field(default_factory=list)
    """The newest first, as Stripe lists them."""
    fails: Callable[[str, str], Answer | None] = lambda _method, _path: None
    """What is answered instead; a status of 0 is no answer."""
    now: Callable[[], datetime] = lambda: _START
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each request."""
    idempotency_keys: list[str] = field(default_factory=list)
    _answers: dict[str, tuple[Form, Answer]] = field(default_factory=dict)
    _made: int = 0

    async def request(
        self,
        key: str,
        method: str,
        url: str,
        *,
        seconds: float,
        form: Form | None = None,
        query: Form | None = None,
        idempotency_key: str = "",
    ) -> Answer:
        """Answer one request."""
        del seconds
        parts = urlsplit(url)
        path = parts.path.partition("/v1/")[2]
        parameters = [*parse_qsl(parts.query), *(query or []), *(form or [])]
        self.asked.append((method, path))
        if (answer := self.fails(method, path)) is not None:
            if not answer[0]:
                raise TimeoutError
            return answer
        known = self.keys.get(key, self.default)
        segments = [unquote(segment) for segment in path.split("/")]
        if known is None or known.dead:
            return _error(401, "Invalid API Key provided", code="api_key_expired" if known else "")
        if known.lacks & set(segments):
            return _error(403, f"The provided key does not have the required permissions for {path}")
        if not idempotency_key:
            return self._route(known, method, segments, parameters)
        self.idempotency_keys.append(idempotency_key)
        return self._once(idempotency_key, parameters, lambda: self._route(known, method, segments, parameters))

    def _once(self, key: str, parameters: Form, act: Callable[[], Answer]) -> Answer:
        if key in self._answers:
            former, answer = self._answers[key]
            why = "Keys for idempotent requests can only be used with the same parameters they were first used with"
            return answer if former == parameters else _error(400, why, code="idempotency_error")
        answer = act()
        self._answers[key] = (parameters, answer)
        return answer

    def _route(self, key: Key, method: str, segments: list[str], parameters: Form) -> Answer:
        if method == "GET":
            return self._read(key, segments[0], parameters)
        if segments == ["webhook_endpoints"] and method == "POST":
            return self._create(parameters)
        collection, name = segments[0], segments[-1]
        if collection != "webhook_endpoints" or name not in self.endpoints:
            return _error(404, f"No such object: '{name}'", code="resource_missing")
        if method == "POST":
            return self._update(name, parameters)
        del self.endpoints[name]
        return 200, {"id": name, "object": "webhook_endpoint", "deleted": True}

    def _read(self, key: Key, collection: str, parameters: Form) -> Answer:
        if collection == "account":
            return 200, {"object": "account", "id": key.account}
        if collection == "balance":
            return 200, {"object": "balance", "livemode": key.livemode}
        if collection == "events":
            return self._events(parameters)
        endpoints = self.endpoints.values() if collection == "webhook_endpoints" else ()
        return _listed([_shown(item) for item in reversed(list(endpoints))], parameters, LISTED)

    def _events(self, parameters: Form) -> Answer:
        values = dict(parameters)
        first, last = int(values.get("created[gte]", 0)), int(values.get("created[lte]", 2**40))
        found = [event for event in self.undelivered if first <= event.created <= last]
        return _listed([{"id": event.id, "type": event.type} for event in found], parameters, EVENTS)

    def _create(self, parameters: Form) -> Answer:
        if wrong := next(_unknown(parameters, CREATE), ""):
            return _error(400, f"Received unknown parameter: {wrong}", code="parameter_unknown")
        values = dict(parameters)
        events = tuple(value for name, value in parameters if name == "enabled_events[]")
        if missing := next((name for name in ("url", "enabled_events[]") if name not in values), ""):
            return _error(400, f"Missing required param: {missing.removesuffix('[]')}.", code="parameter_missing")
        if len(self.endpoints) >= MOST_ENDPOINTS:
            return _error(400, f"You have reached the maximum of {MOST_ENDPOINTS} test webhook endpoints.")
        self._made += 1
        metadata = {name[9:-1]: value for name, value in parameters if name.startswith("metadata[")}
        created = int(self.now().timestamp())
        made = Endpoint(f"we_{self._made}", values["url"], events=events, metadata=metadata, created=created)
        self.endpoints[made.id], self.secrets[made.id] = made, f"{SECRET}{self._made}"
        self.versions[made.id] = values.get("api_version", "")
        return 200, _shown(made) | {"secret": self.secrets[made.id]}

    def _update(self, endpoint: str, parameters: Form) -> Answer:
        if wrong := next(_unknown(parameters, UPDATE), ""):
            return _error(400, f"Received unknown parameter: {wrong}", code="parameter_unknown")
        values, former = dict(parameters), self.endpoints[endpoint]
        events = tuple(value for name, value in parameters if name == "enabled_events[]")
        enabled = former.enabled if "disabled" not in values else values["disabled"] == "false"
        url = values.get("url", former.url)
        after = Endpoint(endpoint, url, enabled, events or former.events, former.metadata, former.created)
        self.endpoints[endpoint] = after
        return 200, _shown(after)


def _unknown(parameters: Form, known: frozenset[str]) -> Iterator[str]:
    yield from (name for name, _ in parameters if name not in known and not name.startswith("metadata["))


def _listed(items: list[dict[str, Any]], parameters: Form, known: frozenset[str]) -> Answer:
    if wrong := next(_unknown(parameters, known), ""):
        return _error(400, f"Received unknown parameter: {wrong}", code="parameter_unknown")
    values = dict(parameters)
    limit = int(values.get("limit", 10))
    if not 1 <= limit <= 100:  # noqa: PLR2004 - Stripe's
        return _error(400, "Invalid integer: limit", code="parameter_invalid_integer")
    if after := values.get("starting_after"):
        items = list(itertools.dropwhile(lambda item: item["id"] != after, items))[1:]
    return 200, {"object": "list", "data": items[:limit], "has_more": len(items) > limit}


def _shown(item: Endpoint) -> dict[str, Any]:
    return {
        "id": item.id,
        "object": "webhook_endpoint",
        "url": item.url,
        "status": "enabled" if item.enabled else "disabled",
        "enabled_events": list(item.events),
        "metadata": dict(item.metadata),
        "created": item.created,
    }


def _error(status: int, message: str, *, code: str = "") -> Answer:
    return status, {"error": {"message": message, "code": code, "type": "invalid_request_error"}}

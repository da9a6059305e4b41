"""The control interface: keys, faults, the clock, the ledger, what customers and banks do, and a page for people.

Each call may name an account: `?account=acct_other&mode=live`; without it, the default account in test mode is meant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import msgspec

from payment_service.http.responses import read_body, respond
from stripe_simulator.errors import StripeFault
from stripe_simulator.faults import Fault, WebhookFault
from stripe_simulator.keys import Key
from stripe_simulator.ledger import ledger
from stripe_simulator.state import DEFAULT_ACCOUNT
from stripe_simulator.status_page import status_page

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestar.types import Receive, Send

    from stripe_simulator.simulator import Simulator
    from stripe_simulator.world import World

__all__ = ["ControlApi", "ledger"]
MAXIMUM_BYTES: Final = 65536


class Settings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What can be switched while it runs; what is absent stays.

    Attributes:
        registered_keys_only: refuse keys that were not registered.
        replay_hides_secret: leave the secret out of the replay of an endpoint's creation.
        retry_seconds: the waits between attempts to deliver an event.
    """

    registered_keys_only: bool | None = None
    replay_hides_secret: bool | None = None
    retry_seconds: tuple[float, ...] | None = None


class ControlApi:
    """Answers on the control port."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        body = await read_body(receive, limit=MAXIMUM_BYTES)
        query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode()).items()}
        world = self._simulator.worlds.of(
            query.get("account", DEFAULT_ACCOUNT), livemode=query.get("mode") == "live"
        ).world
        if (scope["method"], scope["path"]) == ("GET", "/"):
            await respond(send, 200, status_page(world).encode(), content_type=b"text/html; charset=utf-8")
            return
        try:
            status, answer = self._answer(scope["method"], scope["path"], body or b"{}", world)
        except StripeFault as error:
            status, answer = error.status, error.body
        except (msgspec.DecodeError, ValueError, KeyError, TypeError) as error:
            status, answer = 400, {"error": str(error)}
        world.state.flush()
        await respond(send, status, msgspec.json.encode(answer))

    def _answer(self, method: str, path: str, body: bytes, world: World) -> tuple[int, Any]:
        done = self._plain(method, path, body, world)
        if done is None and method == "POST":
            done = _on_object(path.strip("/").split("/"), msgspec.json.decode(body), world)
        return (404, {"error": f"no such control call: {method} {path}"}) if done is None else (200, done)

    def _plain(self, method: str, path: str, body: bytes, world: World) -> Any:
        simulator, faults = self._simulator, self._simulator.faults
        calls: dict[tuple[str, str], Callable[[], Any]] = {
            ("GET", "/ledger"): lambda: ledger(world),
            ("GET", "/clock"): lambda: {"now": simulator.test_clock.timestamp(), "real": simulator.clock.timestamp()},
            ("POST", "/clock/advance"): lambda: self._advance(msgspec.json.decode(body)["seconds"]),
            ("GET", "/faults"): lambda: {"calls": faults.calls, "webhooks": faults.webhooks},
            ("POST", "/faults/calls"): lambda: faults.calls.append(msgspec.json.decode(body, type=Fault)),
            ("POST", "/faults/webhooks"): lambda: faults.webhooks.append(msgspec.json.decode(body, type=WebhookFault)),
            ("DELETE", "/faults"): faults.clear,
            ("GET", "/keys"): lambda: {"keys": simulator.keys.all()},
            ("PUT", "/keys"): lambda: simulator.keys.register(msgspec.json.decode(body, type=Key)),
            ("DELETE", "/keys"): lambda: simulator.keys.forget(msgspec.json.decode(body)["key"]),
            ("POST", "/event_destinations"): lambda: _destination(world, msgspec.json.decode(body)),
            ("PUT", "/settings"): lambda: self._set(msgspec.json.decode(body, type=Settings)),
        }
        call = calls.get((method, path))
        if call is None:
            return None
        answer = call()
        return {"ok": True} if answer is None else answer

    def _advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("seconds: a test clock cannot go back")
        self._simulator.test_clock.advance(seconds)
        self._simulator.tick()

    def _set(self, settings: Settings) -> None:
        simulator = self._simulator
        if settings.registered_keys_only is not None:
            simulator.keys.only_registered = settings.registered_keys_only
        if settings.replay_hides_secret is not None:
            simulator.api.replay_hides_secret = settings.replay_hides_secret
        if settings.retry_seconds is not None:
            for world in simulator.worlds.all():
                world.delivery.retry_seconds = settings.retry_seconds


def _on_object(parts: list[str], body: dict[str, Any], world: World) -> Any:
    """Do what a customer, a bank or a person at the Dashboard does with one object; None: no such call."""
    *collection, name, action = ["", "", *parts]
    done = _ACTIONS.get(("/".join(filter(None, collection)), action))
    return None if done is None else done(world, name, body)


def _authenticate_payment(world: World, name: str, body: dict[str, Any]) -> Any:
    intent = world.state.get("payment_intent", name)
    world.payments.authenticate(intent, succeeds=body.get("succeeds", True))
    world.billing.after_confirmation(intent)
    return intent


def _authenticate_setup(world: World, name: str, body: dict[str, Any]) -> Any:
    setup = world.state.get("setup_intent", name)
    world.setups.authenticate(setup, succeeds=body.get("succeeds", True))
    return setup


def _complete(world: World, name: str, body: dict[str, Any]) -> Any:
    session = world.state.get("checkout.session", name)
    return world.checkout.complete(session, body.get("payment_method", "pm_card_visa"))


def _dispute(world: World, name: str, body: dict[str, Any]) -> Any:
    return world.disputes.open(world.state.get("charge", name), reason=body.get("reason", "fraudulent"))


def _close(world: World, name: str, body: dict[str, Any]) -> Any:
    return world.disputes.close(world.state.get("dispute", name), won=body.get("won", False))


def _roll(world: World, name: str, body: dict[str, Any]) -> Any:
    endpoint = world.state.get("webhook_endpoint", name)
    return {"secret": world.endpoints.roll(endpoint, seconds=body.get("overlap_seconds", 0))}


def _destination(world: World, body: dict[str, Any]) -> Any:
    endpoint = world.endpoints.create({"enabled_events": ["*"], **body}, thin=True)
    return endpoint | {"secret": world.endpoints.secret(endpoint)}


def _resend(world: World, name: str, body: dict[str, Any]) -> Any:
    event = world.state.get("event", name)
    for endpoint in world.state.all("webhook_endpoint"):
        if endpoint["id"] == body.get("webhook_endpoint", endpoint["id"]):
            world.delivery.deliver(event, endpoint)
    return event


def _renew(world: World, name: str, _: dict[str, Any]) -> Any:
    return world.methods.renew(world.state.get("payment_method", name))


_ACTIONS: Final[dict[tuple[str, str], Callable[[World, str, dict[str, Any]], Any]]] = {
    ("payment_intents", "authenticate"): _authenticate_payment,
    ("setup_intents", "authenticate"): _authenticate_setup,
    ("payment_methods", "renew"): _renew,
    ("checkout/sessions", "complete"): _complete,
    ("charges", "dispute"): _dispute,
    ("disputes", "close"): _close,
    ("webhook_endpoints", "roll"): _roll,
    ("events", "resend"): _resend,
}

"""What is asked of Stripe during a webhook rotation, and what is left unknown when one question is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.operator.webhook_world import WebhookWorld, managed

from payment_operator.actions import UpdateEndpoint
from payment_operator.decide.decision import decide
from payment_operator.stripe_endpoints import StripeEndpoints
from payment_operator.webhook_watch import WebhookWatch

if TYPE_CHECKING:
    from payment_operator.observed import Observed
    from payment_operator.webhook_sight import Endpoint


@dataclass
class Answers:
    """Stripe with the endpoints of a world, to whom the key may not read events."""

    world: WebhookWorld
    asked: list[str] = field(default_factory=list)

    async def request(self, _key: str, method: str, url: str, **_: Any) -> tuple[int, Any]:
        self.asked.append(f"{method} {url.partition('/v1')[2]}")
        if url.endswith("/events"):
            return 403, {"error": {"message": "The key lacks rak_event_read"}}
        return 200, {"data": [_shown(item) for item in self.world.stripe.endpoints.values()]}


def _shown(item: Endpoint) -> dict[str, Any]:
    state = "enabled" if item.enabled else "disabled"
    return {
        "id": item.id,
        "metadata": item.metadata,
        "url": item.url,
        "status": state,
        "enabled_events": list(item.events),
    }


class Silent:
    """Pods that do not answer."""

    async def status(self, _pod: Any, *, token: str) -> dict[str, Any]:
        assert token
        return {}


@pytest.fixture
def world() -> WebhookWorld:
    """A rotation whose overlap has passed."""
    made = managed().at_rest()
    made.annotate("rotate", "webhook")
    made.live_through(passes=100, until=lambda: made.observe().webhook_record.step == "Overlapping")
    made.live_through(passes=100, until=lambda: made.observe().webhook_record.verified)
    made.now += timedelta(seconds=700)
    return made


async def look(world: WebhookWorld) -> tuple[WebhookWatch, Answers, Observed]:
    answers = Answers(world)
    watch = WebhookWatch(Silent(), StripeEndpoints(answers))  # type: ignore[arg-type] # what it asks of them
    return watch, answers, await watch.look(world.observe())


async def test_a_key_that_may_not_read_events_hides_no_endpoints_and_says_so(world: WebhookWorld) -> None:
    watch, _, seen = await look(world)
    assert [item.id for item in seen.webhook.endpoints or ()] == ["we_1", "we_2"]
    assert (seen.webhook.undelivered, seen.webhook.fault, watch.calls.fault) == (None, None, None)
    assert "rak_event_read" in seen.webhook.unread


async def test_the_forced_end_of_the_overlap_waits_for_no_list_of_events(world: WebhookWorld) -> None:
    world.now += timedelta(seconds=3600)
    found = [action for action in decide((await look(world))[2]).actions if isinstance(action, UpdateEndpoint)]
    assert [(action.endpoint, action.disabled) for action in found] == [("we_1", True)]
    assert "rak_event_read" in found[0].warning


async def test_events_are_asked_for_only_when_the_overlap_can_end(world: WebhookWorld) -> None:
    world.now -= timedelta(seconds=600)
    _, answers, seen = await look(world)
    assert answers.asked == ["GET /webhook_endpoints"]
    assert seen.webhook.unread == ""

"""What is asked of Stripe during a webhook rotation, and what is left unknown when one question is refused."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.operator.webhook_world import WebhookWorld, rested

from payment_operator.clients.stripe_endpoints import StripeEndpoints
from payment_operator.decide.decision import decide
from payment_operator.decide.rotation.staged_credentials import staged_of
from payment_operator.model.actions import UpdateEndpoint
from payment_operator.observe.webhooks import WebhookWatch

if TYPE_CHECKING:
    from payment_operator.model.observed import Observed
    from payment_operator.model.webhook import Endpoint


@dataclass
class Answers:
    """Stripe with the endpoints of a world, to whom the key may not read events."""

    world: WebhookWorld
    asked: list[str] = field(default_factory=list)
    down: bool = False
    events: int = 0
    """How many pages of events of other types there are."""

    async def request(self, _key: str, method: str, url: str, **_: Any) -> tuple[int, Any]:
        self.asked.append(f"{method} {url.partition('/v1')[2]}")
        if self.down:
            return 503, {}
        if url.endswith("/events") and self.events:
            more = self.asked.count("GET /events") < self.events
            return 200, {"data": [{"id": f"evt_{len(self.asked)}", "type": "payout.paid"}], "has_more": more}
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
    made = rested()
    made.ask("rotate", secret="webhook")
    made.live_through(passes=100, until=lambda: made.observe().webhook_record.step == "Overlapping")
    made.live_through(passes=100, until=lambda: made.observe().webhook_record.verified)
    made.now += timedelta(seconds=700)
    return made


async def again(watch: WebhookWatch, world: WebhookWorld) -> Observed:
    seen = world.observe()
    return replace(seen, webhook=await watch.look(seen, staged_of(seen)))


async def look(world: WebhookWorld, **answers_with: Any) -> tuple[WebhookWatch, Answers, Observed]:
    answers = Answers(world, **answers_with)
    watch = WebhookWatch(Silent(), StripeEndpoints(answers))  # type: ignore[arg-type] # what it asks of them
    return watch, answers, await again(watch, world)


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


@pytest.mark.parametrize(("pages", "known"), [(5, True), (6, False)])
async def test_more_undelivered_events_than_are_read_are_not_taken_for_none(
    world: WebhookWorld,
    pages: int,
    known: bool,  # noqa: FBT001 - the table's
) -> None:
    world.spec["stripe"]["webhook"] = world.spec["stripe"]["webhook"] | {"events": ["invoice.paid"]}
    _, _, seen = await look(world, events=pages)
    assert (seen.webhook.undelivered == ()) is known
    assert ("more than 500 undelivered events" in seen.webhook.unread) is not known


def message(seen: Observed) -> str:
    return str(decide(seen).status["rotation"]["webhook"]["message"])


async def test_one_list_that_failed_is_forgotten_with_the_next_that_does_not(world: WebhookWorld) -> None:
    watch, answers, seen = await look(world, down=True)
    assert seen.webhook.endpoints is None
    assert "503" in message(seen)
    world.now += timedelta(seconds=2)
    answers.down = False
    seen = await again(watch, world)
    assert [item.id for item in seen.webhook.endpoints or ()] == ["we_1", "we_2"]
    assert "503" not in message(seen)
    answers.down = True
    await again(watch, world)
    world.now += timedelta(seconds=2)
    answers.down = False
    assert (await again(watch, world)).webhook.endpoints is not None


async def test_a_change_that_failed_is_not_forgotten_with_a_list_that_does_not(world: WebhookWorld) -> None:
    watch, _, _ = await look(world)
    watch.calls.failed("no change", now=world.now)
    seen = await again(watch, world)
    assert seen.webhook.endpoints is not None
    assert seen.webhook.fault is not None


async def test_a_list_that_failed_at_rest_is_asked_for_again_without_waiting_for_a_minute() -> None:
    world = rested()
    watch, answers, seen = await look(world, down=True)
    assert seen.webhook.unlisted is not None
    world.now += timedelta(seconds=2)
    answers.down = False
    assert (await again(watch, world)).webhook.endpoints is not None

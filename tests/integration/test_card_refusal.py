"""A card's number in any disguise, wherever a caller may put text: refused by name, nowhere stored or said."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from tests.cards import DISGUISES
from tests.servers.production import Production, production
from tests.servers.raw_http import Raw, send

from payment_service.storage import tables

if TYPE_CHECKING:
    from collections.abc import Callable

CARD = "4242424242424242"
CREATE = "/api/v1/payments/create-subscription"
CUSTOMERS = "/api/v1/customers"


def body(**content: object) -> bytes:
    return json.dumps({"email": "ada@example.com", **content}, ensure_ascii=False).encode()


PLACES: dict[str, Callable[[str], Raw]] = {
    "a text": lambda text: Raw("POST", CUSTOMERS, [], body(name=text)),
    "a value of metadata": lambda text: Raw("POST", CUSTOMERS, [], body(metadata={"note": text})),
    "a key of metadata": lambda text: Raw("POST", CUSTOMERS, [], body(metadata={text: "note"})),
    "an unknown member": lambda text: Raw("POST", CREATE, [], body(**{text: 1})),
    "a reason": lambda text: Raw(
        "POST", "/api/v1/admin/inbox/evt_1/discard", [], json.dumps({"reason": text}).encode()
    ),
    "a query": lambda text: Raw("GET", f"{CUSTOMERS}?reference={quote(text, safe='')}", []),
    "a name in a query": lambda text: Raw("GET", f"{CUSTOMERS}?{quote(text, safe='')}=1", []),
    "a path": lambda text: Raw("GET", f"{CUSTOMERS}/{quote(text, safe='')}", []),
    "an idempotency key": lambda text: Raw("POST", CUSTOMERS, [(b"Idempotency-Key", text.encode())], body()),
    "a request's id": lambda text: Raw("GET", f"{CUSTOMERS}/lpc_1", [(b"X-Request-ID", text.encode())]),
    "an end user's address": lambda text: Raw("POST", CREATE, [(b"X-FAPI-Customer-IP-Address", text.encode())], body()),
}
BY_ANOTHER_NAME = {"a path", "an idempotency key", "a request's id", "an end user's address"}
"""Where another form is asked for, that may be told first."""


async def attempt(running: Production, request: Raw) -> tuple[int, str]:
    fields = [(b"Authorization", f"Bearer {running.key}".encode()), (b"Content-Type", b"application/json")]
    status, answer = await send(running.port, request._replace(fields=[*fields, *request.fields]))
    return status, answer.decode()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_no_place_takes_a_card_number_in_any_disguise(
    database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    chance, taken, said = random.Random(4242), [], []
    async with production(database_url) as running:
        for disguise, hide in DISGUISES.items():
            text = hide(CARD, chance)
            for place, request in PLACES.items():
                status, answer = await attempt(running, request(text))
                told = "card_number_refused" in answer or place in BY_ANOTHER_NAME
                if not (400 <= status < 500 and told):
                    taken.append((place, disguise, status, answer[-200:]))
                if text in answer:
                    said.append((place, disguise, answer[-200:]))
        rows = [str(await running.stack.rows(table)) for table in tables.metadata.sorted_tables]
    assert taken == []
    assert said == []
    written = capfd.readouterr()
    for text in (CARD, " ".join(CARD), "4242 4242 4242 4242"):
        assert text not in "".join(rows) + written.out + written.err

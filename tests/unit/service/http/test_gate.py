"""The outermost layer: constant answers, labels, headers, and what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from payment_service.http.drain import DrainState
from payment_service.http.gate import Gate, security_headers
from payment_service.http.route_access import PlainRoutes
from payment_service.observability.metrics import REGISTRY, render

if TYPE_CHECKING:
    from litestar.types import Message

BODY = b'{"constant":true}'


class Application:
    """Notes the methods that reach it."""

    def __init__(self) -> None:
        self.methods: list[str] = []

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        self.methods.append(scope["method"])
        await send({"type": "http.response.start", "status": 405, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def ask(
    gate: Gate,
    *,
    path: str = "/constant",
    raw: bytes | None = None,
    method: str = "GET",
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "raw_path": raw or path.encode(), "method": method, "headers": headers}
    await gate(scope, None, send)  # type: ignore[arg-type] # never reads
    return sent


@pytest.fixture
def drain() -> DrainState:
    return DrainState()


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def gate(application: Application, drain: DrainState) -> Gate:
    return Gate(
        PlainRoutes([], guard=lambda answer, _: answer),
        application,
        drain=drain,
        constants={"/constant": BODY},
        headers=((b"x-more", b"1"),),
    )


async def test_a_constant_has_all_headers_and_the_callers_request_id(gate: Gate, application: Application) -> None:
    start, body = await ask(gate, headers=((b"x-request-id", b"from-the-caller"),))
    headers = dict(start["headers"])
    assert (start["status"], body["body"]) == (200, BODY)
    assert headers[b"content-length"] == str(len(BODY)).encode()
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"x-request-id"] == b"from-the-caller"
    assert headers[b"x-more"] == b"1"
    assert application.methods == []


async def test_each_constant_answer_has_a_request_id_of_its_own(gate: Gate) -> None:
    ids = {dict((await ask(gate))[0]["headers"])[b"x-request-id"] for _ in range(20)}
    assert len(ids) == 20
    assert all(len(one) == 32 for one in ids)


async def test_a_draining_process_closes_the_connection_only_while_it_drains(gate: Gate, drain: DrainState) -> None:
    drain.drain(on=True)
    assert (b"connection", b"close") in (await ask(gate))[0]["headers"]
    drain.drain(on=False)
    assert (b"connection", b"close") not in (await ask(gate))[0]["headers"]


async def test_other_methods_go_on(gate: Gate, application: Application) -> None:
    assert (await ask(gate, method="POST"))[0]["status"] == 405
    assert application.methods == ["POST"]


async def test_constant_answers_are_counted(gate: Gate) -> None:
    labels = {"method": "GET", "route": "/constant", "status": "200", "admitted": "false"}
    before = REGISTRY.get_sample_value("payments_http_requests_total", labels) or 0
    await ask(gate)
    assert REGISTRY.get_sample_value("payments_http_requests_total", labels) == before + 1


@pytest.mark.parametrize(
    ("path", "method", "counted"),
    [("/made-up", "BREW", ("other", "405")), ("//made-up", "GET", ("GET", "400")), ("/a/../b", "GET", ("GET", "400"))],
)
async def test_what_matches_no_route_cannot_choose_a_label(
    gate: Gate, path: str, method: str, counted: tuple[str, str]
) -> None:
    labels = {"route": "unmatched", "method": counted[0], "status": counted[1], "admitted": "false"}
    before = REGISTRY.get_sample_value("payments_http_requests_total", labels) or 0
    await ask(gate, path=path, method=method)
    assert REGISTRY.get_sample_value("payments_http_requests_total", labels) == before + 1
    assert "made-up" not in render().decode()


async def test_a_path_in_another_spelling_reaches_nothing(gate: Gate, application: Application) -> None:
    start, body = await ask(gate, path="//constant")
    assert start["status"] == 400
    assert json.loads(body["body"])["code"] == "bad_path"
    assert application.methods == []


async def test_an_encoded_spelling_of_a_constant_is_no_constant(gate: Gate, application: Application) -> None:
    assert (await ask(gate, path="/constant", raw=b"/%63onstant"))[0]["status"] == 405
    assert (await ask(gate, path="/constant", raw=b"%2Fconstant"))[0]["status"] == 400
    assert application.methods == ["GET"]


async def test_what_matches_no_route_has_the_strictest_headers(application: Application, drain: DrainState) -> None:
    security = security_headers(production=True)
    gate = Gate(PlainRoutes([], guard=lambda answer, _: answer), application, drain=drain, security=security)
    for path in ("/made-up", "//made-up"):
        headers = dict((await ask(gate, path=path))[0]["headers"])
        assert headers[b"cache-control"] == b"no-store"
        assert headers[b"content-security-policy"].startswith(b"default-src 'none'")


async def test_a_websocket_is_closed_before_it_is_accepted(gate: Gate) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Any = {"type": "websocket", "path": "/api/v1/subscriptions", "headers": []}
    await gate(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]

"""Asks others about a revision at a look of its bake: a Prometheus, or a webhook in Flagger's form.

No answer, one that is none, or one number too many proves nothing; what came is told by its kind, never by its text,
for an address in a spec may lead anywhere. Redirects are not followed.
"""

import json
import math
import re
from typing import Any, Final

import aiohttp

from payment_operator.api.measures import PrometheusMeasure, WebhookMeasure
from payment_operator.model.measures import Measure
from payment_operator.model.observed import ClusterState

MOST_BYTES: Final = 65_536
OK: Final = 200
_PLACE: Final = re.compile(r"\{\{ *(namespace|environment|revision) *\}\}")


class NoAnswer(Exception):
    """What came says nothing; the message tells what it was, and none of its text."""


FAULTS: Final = (NoAnswer, aiohttp.ClientError, TimeoutError, OSError, ValueError)


async def query_prometheus(asked: PrometheusMeasure, observed: ClusterState, *, revision: str) -> Measure:
    """What a query says, against its bounds."""
    bounds = (("at least ", asked.min), ("at most ", asked.max))
    limit = ", ".join(f"{word}{bound}" for word, bound in bounds if bound is not None)
    query = filled(asked.query, observed, revision=revision)
    try:
        value = await _query(asked, query)
    except FAULTS as error:
        return Measure(asked.name, "Inconclusive", "", limit, _why(error, seconds=asked.timeout_seconds))
    low = float(asked.min) if asked.min is not None else -math.inf
    high = float(asked.max) if asked.max is not None else math.inf
    value_text, evidence = f"{value:g}", f"query {query[:200]}"
    if low <= value <= high:
        return Measure(asked.name, "Passed", value_text, limit, evidence)
    return Measure(asked.name, "Failed", value_text, limit, evidence, f"{asked.name} is {value_text}, {limit} passes")


async def call_webhook(asked: WebhookMeasure, observed: ClusterState, *, revision: str) -> Measure:
    """Whether an address says that the revision is well: 2xx passes, any other answer fails."""
    owner, limit = observed.owner, "2xx"
    body = {
        "name": owner.name,
        "namespace": owner.namespace,
        "phase": "Progressing",
        "checksum": revision,
        "metadata": asked.metadata,
    }
    try:
        status = await _post(asked, body)
    except FAULTS as error:
        return Measure(asked.name, "Inconclusive", "", limit, _why(error, seconds=asked.timeout_seconds))
    if status // 100 == OK // 100:
        return Measure(asked.name, "Passed", str(status), limit, "the webhook's answer")
    return Measure(
        asked.name, "Failed", str(status), limit, "the webhook's answer", f"the webhook {asked.name} answered {status}"
    )


def filled(query: str, observed: ClusterState, *, revision: str) -> str:
    """The query for this revision; what is filled in are names that Kubernetes allows, so no quote ends early."""
    values = {"namespace": observed.owner.namespace, "environment": observed.owner.name, "revision": revision}
    return _PLACE.sub(lambda found: values[found[1]], query)


async def _query(asked: PrometheusMeasure, query: str) -> float:
    url = f"{asked.url.rstrip('/')}/api/v1/query"
    async with (
        _session(asked.timeout_seconds) as session,
        session.post(url, data={"query": query}, allow_redirects=False) as answer,
    ):
        text = await answer.content.read(MOST_BYTES) if answer.status == OK else b""
        while answer.status == OK and len(text) < MOST_BYTES and (more := await answer.content.read(MOST_BYTES)):
            text += more
        if answer.status != OK:
            raise NoAnswer(f"Prometheus answered {answer.status}")
    return _number(text)


def _number(text: bytes) -> float:
    """The one number in Prometheus's answer, which is a scalar or a vector of one."""
    try:
        data = json.loads(text)["data"]
        kind, result = data["resultType"], data["result"]
        if kind == "vector" and len(result) != 1:
            raise NoAnswer(f"the query gives {len(result)} series, one is needed")
        value = float(result[1] if kind == "scalar" else result[0]["value"][1])
    except (ValueError, LookupError, TypeError) as error:
        raise NoAnswer("the answer is none of Prometheus's") from error
    if math.isnan(value):
        raise NoAnswer("the query gives NaN")
    return value


async def _post(asked: WebhookMeasure, body: dict[str, Any]) -> int:
    async with (
        _session(asked.timeout_seconds) as session,
        session.post(asked.url, json=body, allow_redirects=False) as answer,
    ):
        return answer.status


def _session(seconds: float) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds), trust_env=True)


def _why(error: Exception, *, seconds: float) -> str:
    if isinstance(error, NoAnswer):
        return str(error)
    return (
        f"no answer within {seconds:.0f} s" if isinstance(error, TimeoutError) else f"no answer: {type(error).__name__}"
    )

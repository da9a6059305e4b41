"""Looks for secret values where none may stand: logs, metrics, and every object but Secrets."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from tests.cluster.operator.harness import Operator, Shop

KINDS = "penv,deployments,jobs,pods,services,configmaps,controllerrevisions,events,hpa,pdb,endpointslices"
SOURCE = "payments"
SHORTEST = 12


def secret_words(shop: Shop) -> set[str]:
    """What stands now in the user's Secret and in those of the operator, and would help a thief."""
    source = json.loads(shop.namespace.kubectl("get", "secret", SOURCE, "-o", "json"))
    listed = [source, *shop.objects("secrets")]
    values = [base64.b64decode(value).decode() for item in listed for value in (item.get("data") or {}).values()]
    return {word for value in values for word in _words(value) if len(word) >= SHORTEST}


def _words(value: str) -> list[str]:
    """The parts that are secret: the password of an address or a record, each signing secret of a list."""
    if value.startswith("{"):
        return _passwords(json.loads(value))
    if "://" in value:
        return [urlsplit(value).password or ""]
    return [word.strip() for word in value.split(",")]


def _passwords(record: Any) -> list[str]:
    if not isinstance(record, dict):
        return []
    own = [record["password"]] if "password" in record else []
    return own + [word for part in record.values() for word in _passwords(part)]


def found_outside_secrets(shop: Shop, operator: Operator, words: set[str]) -> list[tuple[str, str]]:
    """Return where a word stands, with its beginning; empty is good."""
    texts = {"log": operator.log.read_text(), "metrics": operator.get("/metrics")[1]}
    listed = json.loads(shop.namespace.kubectl("get", KINDS, "-o", "json", "--show-managed-fields"))["items"]
    texts["objects"] = json.dumps([item for item in listed if not _of_a_server(item)])
    for pod in (pod for component in ("api", "worker", "migrate", "smoke") for pod in shop.pods(component)):
        name = pod["metadata"]["name"]
        texts[name] = shop.namespace.kubectl("logs", name, check=False)
    return [(where, word[:SHORTEST]) for where, text in texts.items() for word in words if word in text]


def _of_a_server(item: dict[str, Any]) -> bool:
    """PostgreSQL and the simulator of the tests hold throw-away passwords in their manifests."""
    return (
        "payments.leanconstruction.io/environment" not in str(item["metadata"].get("labels"))
        and item["kind"] != "Event"
    )

"""What the API server lets nobody change once an object is there.

kubernetes.io/docs/concepts/configuration/secret/#secret-immutable (ConfigMaps alike), .../workloads/controllers/job/
(the pod template), .../workloads/controllers/deployment/#selector; a ControllerRevision's data is immutable by its
API reference, the spec of an EnvironmentRequest by a rule of its schema (`api/request.py`).
"""

from typing import Any, Final

from payment_operator import names
from payment_operator.api.request import RULES, RequestSpec
from payment_operator.resources.metadata import Manifest

IMMUTABLE: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "ControllerRevision": (("data",),),
    "Job": (("spec", "template"), ("spec", "selector"), ("spec", "completions")),
    "Deployment": (("spec", "selector"),),
    "Secret": (("type",),),
    names.REQUEST_KIND: (("spec",),),
}
WORDS: Final = {names.REQUEST_KIND: RULES[RequestSpec][0][1]}
"""What is said of it, where it is not what the API server says of its own kinds."""
SEALED: Final = ("data", "stringData", "binaryData", "immutable")
"""Of a Secret or ConfigMap that says `immutable: true`."""


def immutable_field(live: Manifest, after: Manifest) -> str:
    """Which field changes though it must not, in the API server's words; empty when none does."""
    if live.get("immutable"):
        for name in SEALED:
            if live.get(name) != after.get(name):
                return f"{name}: Forbidden: field is immutable when `immutable` is set"
    for path in IMMUTABLE.get(live.get("kind", ""), ()):
        if _at(live, path) != _at(after, path):
            return f"{'.'.join(path)}: Invalid value: {WORDS.get(live['kind'], 'field is immutable')}"
    return ""


def _at(item: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        item = item.get(step) if isinstance(item, dict) else None
    return item

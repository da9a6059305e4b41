"""The schema of the kind: packed into the single file as JSON, made from the types where the operator is installed."""

import importlib
import json
from importlib.resources import files
from typing import Any, Final

PACKED: Final = "crd.json"
Schema = dict[str, Any]


def custom_resource_definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition."""
    packed = files("payment_operator.plugin").joinpath(PACKED)
    if packed.is_file():
        found: dict[str, Any] = json.loads(packed.read_text(encoding="utf-8"))
        return found
    # by name: the single file has no such module, and its need of libraries must not become ours
    made: dict[str, Any] = importlib.import_module("payment_operator.api.crd").crd_manifest()
    return made


def openapi_schema() -> Schema:
    """Return the schema of one whole resource."""
    (version,) = custom_resource_definition()["spec"]["versions"]
    schema: Schema = version["schema"]["openAPIV3Schema"]
    return schema

"""Small types shared by the parts of the resource."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

KubernetesObject = dict[str, Any]
"""A fragment of a Kubernetes object, passed through as it is; the API server validates it where it is used."""

Name = Annotated[str, Meta(min_length=1, max_length=253)]
Url = Annotated[str, Meta(min_length=1, max_length=2048)]
Seconds = Annotated[int, Meta(ge=0, le=31_536_000)]
Count = Annotated[int, Meta(ge=0, le=1000)]


class Fields(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of every part of the resource: camelCase on the wire, defaults left out."""


class SecretRef(Fields, frozen=True, kw_only=True):
    """One key of a Secret in the same namespace. The operator copies the value; pods never mount this Secret."""

    name: Annotated[Name, Meta(description="Name of a Secret in the same namespace.")]
    key: Annotated[
        Name | None,
        Meta(description="Key in the Secret. Left out: the setting's name, for example DATABASE_URL."),
    ] = None

"""JSON of another party, as it was decoded: what a member is, is looked at before it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

JsonValue = str | int | float | bool | None | Sequence["JsonValue"] | Mapping[str, "JsonValue"]
JsonObject = Mapping[str, JsonValue]

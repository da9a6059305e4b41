"""The parts of the resource that say what else is measured in a bake: Prometheus, webhooks, a probe key."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from payment_operator.api.fields import Fields, Name

MeasureName = Annotated[str, Meta(max_length=40, pattern="^[a-z][a-z0-9-]*$")]
Address = Annotated[str, Meta(max_length=2048, pattern=r"^https?://[^\s@]+$")]
Number = Annotated[str, Meta(max_length=32, pattern=r"^-?[0-9]+(\.[0-9]+)?$")]
TimeOut = Annotated[int, Meta(ge=1, le=30)]
MOST: Final = 10


class ProbeKey(Fields, frozen=True, kw_only=True):
    """An API key with the scope `read` that every revision must accept."""

    name: Annotated[
        Name, Meta(description="Name of a Secret in the same namespace; smoke's pod mounts this key of it.")
    ]
    key: Annotated[Name, Meta(description="Key in the Secret.")] = "PROBE_API_KEY"


class PrometheusMeasure(Fields, frozen=True, kw_only=True):
    """A number that a Prometheus computes, asked for at every look."""

    name: Annotated[MeasureName, Meta(description="How the status calls it.")]
    url: Annotated[Address, Meta(description="Where the Prometheus is, for example http://prometheus.monitoring:9090.")]
    query: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=4096,
            description="PromQL with one number as its answer. {{ namespace }}, {{ environment }} and {{ revision }} "
            "(its hash, as the pods' label has it) are filled in.",
        ),
    ]
    min: Annotated[Number | None, Meta(description="Smallest number that passes.")] = None
    max: Annotated[Number | None, Meta(description="Largest number that passes.")] = None
    timeout_seconds: Annotated[TimeOut, Meta(description="No answer within this proves nothing.")] = 5


class WebhookMeasure(Fields, frozen=True, kw_only=True):
    """An address that is asked at every look, as Flagger asks it: 2xx passes, another answer fails."""

    name: Annotated[MeasureName, Meta(description="How the status calls it.")]
    url: Annotated[
        Address,
        Meta(
            description="Gets a POST of name, namespace, phase, checksum (the revision's hash) and metadata, in JSON."
        ),
    ]
    metadata: Annotated[dict[str, str], Meta(description="Sent along.")] = msgspec.field(default_factory=dict)
    timeout_seconds: Annotated[TimeOut, Meta(description="No answer within this proves nothing.")] = 5

"""The kind EnvironmentRequest: what a person asks of an environment, and the operator's answer.

An object for each request, so that asking is a right of its own (RBAC: `create` on `environmentrequests`), nothing that
is asked replaces what somebody else asks, and `kubectl get ereq` is the history.
"""

from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta

from payment_operator import names
from payment_operator.api.column import Column
from payment_operator.api.fields import Fields
from payment_operator.api.schema import Rules, Schema, structural_schema

Verb = Literal["promote", "approve", "abort", "retry", "rollback", "rotate", "freeze", "unfreeze"]
Credential = Literal["webhook", "api-key", "database", "secret-key"]
State = Literal["Pending", "Accepted", "Refused", "Done"]
CREDENTIALS: Final[tuple[Credential, ...]] = get_args(Credential)
VERBS: Final[tuple[Verb, ...]] = get_args(Verb)
OF_REVISIONS: Final = ("promote", "approve", "abort", "retry", "rollback")
LARGEST_REVISION: Final = 999_999_999
MESSAGE_LIMIT: Final = 1024
Number = Annotated[int, Meta(ge=1, le=LARGEST_REVISION)]
_ONE_LINE: Final = r"^[^\x00-\x1f\x7f]*$"


class RequestSpec(Fields, frozen=True, kw_only=True):
    """What is asked; it cannot be changed."""

    environment: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=40,
            pattern="^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
            description="Name of the PaymentEnvironment, in the same namespace.",
        ),
    ]
    verb: Annotated[
        Verb,
        Meta(
            description="promote: the candidate may get the traffic, or (with a reason) a bake ends early; approve: "
            "the candidate may get the traffic when its checks have passed; abort: give the candidate up; retry: try "
            "what failed again; rollback: traffic goes back; rotate: replace a secret; freeze, unfreeze: no release "
            "takes a step in between."
        ),
    ]
    revision: Annotated[
        Number | None,
        Meta(
            description="The revision that is meant; the request is refused when the verb means another one by then. "
            "Left out: the only one that it can mean."
        ),
    ] = None
    secret: Annotated[Credential | None, Meta(description="Of rotate: the secret that is meant.")] = None
    compromised: Annotated[
        bool, Meta(description="Of rotate: the secret has leaked. Holds and overlaps are skipped.")
    ] = False
    reason: Annotated[
        str, Meta(max_length=MESSAGE_LIMIT, pattern=_ONE_LINE, description="Why, for those who read the history.")
    ] = ""
    by: Annotated[
        str,
        Meta(
            max_length=256,
            pattern=_ONE_LINE,
            description="Who asks, in their own words: unverified, unless an admission policy vouches for it.",
        ),
    ] = ""


class RequestStatus(Fields, frozen=True, kw_only=True):
    """The operator's answer."""

    state: Annotated[
        State,
        Meta(
            description="Pending: not looked at yet; Accepted: decided, and being carried out; Refused: the message "
            "says why; Done: carried out."
        ),
    ] = "Pending"
    message: Annotated[str, Meta(max_length=MESSAGE_LIMIT, description="What was decided, or why not.")] = ""
    by: Annotated[
        str, Meta(max_length=300, description="Who asked; marked as unverified unless a policy vouched for it.")
    ] = ""
    revision: Annotated[int | None, Meta(description="The revision that it was about.")] = None
    number: Annotated[int, Meta(ge=0, description="Which answer of the environment it is, counted from 1.")] = 0
    at: Annotated[str | None, Meta(description="When it was answered.")] = None


RULES: Final[Rules] = {
    RequestSpec: [
        ("self == oldSelf", "a request cannot be changed: make another one (kubectl create)"),
        (
            "(self.verb == 'rotate') == has(self.secret)",
            "spec.secret belongs to the verb rotate, which needs it: webhook, api-key, database or secret-key",
        ),
        (
            "!(has(self.compromised) && self.compromised) || self.verb == 'rotate'",
            "spec.compromised belongs to the verb rotate",
        ),
        (
            f"!has(self.revision) || self.verb in {list(OF_REVISIONS)}",
            f"spec.revision belongs to the verbs {', '.join(OF_REVISIONS)}",
        ),
        ("self.verb != 'approve' || has(self.revision)", "an approval names its revision: set spec.revision"),
    ],
}
COLUMNS: Final = (
    Column("Environment", "string", ".spec.environment"),
    Column("Verb", "string", ".spec.verb"),
    Column("Revision", "integer", ".status.revision"),
    Column("Secret", "string", ".spec.secret"),
    Column("State", "string", ".status.state"),
    Column("By", "string", ".status.by"),
    Column("Age", "date", ".metadata.creationTimestamp"),
    Column("Message", "string", ".status.message"),
    Column("Reason", "string", ".spec.reason", 1),
    Column("Number", "integer", ".status.number", 1),
)


def openapi_schema() -> Schema:
    """The structural schema of a whole EnvironmentRequest.

    Who has not been answered is Pending by default: the API server fills that in when it reads the object.
    """
    status = structural_schema(RequestStatus, rules=RULES) | {"default": {"state": "Pending"}}
    return {
        "type": "object",
        "description": "What a person asks of a PaymentEnvironment; its status is the answer.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of the resource's schema."},
            "kind": {"type": "string", "description": f"{names.REQUEST_KIND}."},
            "metadata": {"type": "object"},
            "spec": structural_schema(RequestSpec, rules=RULES)
            | {"description": "What you ask; it cannot be changed."},
            "status": status | {"description": "What the operator answers."},
        },
    }


def read_spec(spec: object) -> RequestSpec:
    """Read what is asked.

    Raises:
        ValueError: it is not what the schema says, or breaks one of its rules.
    """
    try:
        found = msgspec.convert(spec, RequestSpec)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    if (found.verb == "rotate") != (found.secret is not None):
        raise ValueError("spec.secret belongs to the verb rotate, which needs it")
    if found.verb == "approve" and found.revision is None:
        raise ValueError("an approval names its revision: set spec.revision")
    return found

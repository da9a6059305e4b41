"""Does at Stripe what a webhook rotation asks for, and returns the write that records it."""

from payment_operator.clients.stripe_endpoints import Endpoints, StripeFault
from payment_operator.clients.stripe_http import Form
from payment_operator.decide.rotation.webhook import endpoints, secrets
from payment_operator.model.actions import Apply, CreateEndpoint, EndpointAction, Part, UpdateEndpoint
from payment_operator.model.observed import Observed
from payment_operator.observe.webhooks import account_of
from payment_operator.redaction import redact
from payment_operator.resources.credentials import StagedCredentials

TOO_MANY, IN_PROGRESS, BROKEN = 429, 409, 500


async def work_on_endpoint(
    action: EndpointAction,
    stripe: Endpoints,
    observed: Observed,
    part: Part,
    *,
    staged: StagedCredentials,
) -> Apply | None:
    """Do it with the key that is in use; return what records it.

    Raises:
        StripeFault: it may be tried again.
    """
    account = account_of(observed, staged)
    if isinstance(action, CreateEndpoint):
        return await _create(action, stripe, observed, part, staged=staged)
    if isinstance(action, UpdateEndpoint):
        await stripe.update(account, action.endpoint, form=_form(action))
        if action.warning:
            part.emit_event("WebhookEventsUndelivered", action.warning, warning=True)
    else:
        await stripe.delete(account, action.endpoint)
    if action.told:
        part.emit_event("WebhookEndpoint", action.told)
    return action.then


async def _create(
    action: CreateEndpoint, stripe: Endpoints, observed: Observed, part: Part, *, staged: StagedCredentials
) -> Apply:
    account, record = account_of(observed, staged), action.record
    try:
        made = await stripe.create(account, key=action.key, form=_creation(action))
    except StripeFault as fault:
        if fault.status in {0, TOO_MANY, IN_PROGRESS}:
            raise
        if fault.status < BROKEN:
            message = redact(str(fault), (*observed.sources.secrets, *staged.secrets))
            part.emit_event("WebhookRotationFailed", message, warning=True)
            return secrets.write(observed, endpoints.refused(observed, record, message))
        # Stripe would give the same answer to the same key for a day
        return secrets.write(observed, endpoints.attempted(observed, record))
    if made.secret and await stripe.update(account, made.id, form=[("disabled", "true")]):
        return secrets.write(observed, endpoints.created(observed, record, made), add=made.secret)
    await stripe.delete(account, made.id)
    return secrets.write(observed, endpoints.attempted(observed, record))


def _creation(action: CreateEndpoint) -> Form:
    identity = [(f"metadata[{key}]", value) for key, value in action.metadata.items()]
    chosen = [("url", action.url), ("api_version", action.api_version), ("description", "Lean Payments")]
    return chosen + [("enabled_events[]", kind) for kind in action.events] + identity


def _form(action: UpdateEndpoint) -> Form:
    address = [("url", action.url)] if action.url else []
    return [
        ("disabled", str(action.disabled).lower()),
        *address,
        *(("enabled_events[]", kind) for kind in action.events),
    ]

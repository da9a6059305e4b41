"""The specification of a PaymentEnvironment."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from payment_operator.api.api_key import AccountId, ApiKey
from payment_operator.api.database import Database
from payment_operator.api.fields import Count, Fields, SecretRef, Url
from payment_operator.api.pods import Pods
from payment_operator.api.release import Migrations, Release
from payment_operator.api.webhook import Webhook
from payment_operator.api.webhook_endpoints import WebhookEndpoints
from payment_operator.api.workload import Api, Autoscaling, Service, Worker


class Redis(Fields, frozen=True, kw_only=True):
    """Redis or Valkey."""

    url_secret_ref: Annotated[SecretRef, Meta(description="URL (key REDIS_URL).")]
    allow_plaintext: Annotated[
        bool,
        Meta(
            description="Let Redis be reached unencrypted on another host: only where the network itself "
            "encrypts, as a service mesh does."
        ),
    ] = False


class Stripe(Fields, frozen=True, kw_only=True):
    """The Stripe account."""

    mode: Annotated[
        Literal["Test", "Live"], Meta(description="Test or Live; must match the key's prefix. Cannot be changed.")
    ] = "Live"
    account_id: Annotated[
        AccountId | None,
        Meta(description="The account that keys must be of. Left out: the account of the key in use."),
    ] = None
    api_key: Annotated[ApiKey, Meta(description="The API key.")]
    webhook: Annotated[Webhook, Meta(description="The webhook endpoint.")]
    api_base: Annotated[
        Url | None,
        Meta(description="Another address of the Stripe API, for a simulator. Test mode only."),
    ] = None


class Environment(Fields, frozen=True, kw_only=True):
    """What the user asks for."""

    image: Annotated[
        str,
        Meta(min_length=1, max_length=1024, description="Image of the service. Changing it starts a release."),
    ]
    image_pull_policy: Annotated[
        Literal["IfNotPresent", "Always", "Never"], Meta(description="When the image is pulled.")
    ] = "IfNotPresent"
    image_pull_secrets: Annotated[
        list[str], Meta(max_length=20, description="Names of Secrets with registry credentials.")
    ] = msgspec.field(default_factory=list)
    replicas: Annotated[
        Count, Meta(description="Number of API pods. Written through the scale subresource while autoscaling is set.")
    ] = 2
    autoscaling: Annotated[Autoscaling | None, Meta(description="Scale the API on CPU.")] = Autoscaling()
    api: Annotated[Api, Meta(description="The API's pods.")] = Api()
    worker: Annotated[Worker, Meta(description="The worker's pods.")] = Worker()
    pods: Annotated[Pods, Meta(description="What all pods have: placement, labels, volumes, account.")] = Pods()
    service: Annotated[Service, Meta(description="The Service in front of the API.")] = Service()
    allowed_origins: Annotated[
        list[Url],
        Meta(max_length=100, description="Origins that browsers may call the API from."),
    ] = msgspec.field(default_factory=list)
    secret_key_ref: Annotated[
        SecretRef,
        Meta(
            description="The service's own key, 32 characters or more (key SECRET_KEY). While it is rotated several, "
            "separated by commas, the first signs; pods take a change without a restart, and keep what keys need."
        ),
    ]
    webhook_endpoints: Annotated[
        WebhookEndpoints, Meta(description="Webhooks that the service sends: their signing key, and where they may go.")
    ] = WebhookEndpoints()
    database: Annotated[Database, Meta(description="PostgreSQL or MariaDB.")]
    redis: Annotated[Redis, Meta(description="Redis or Valkey.")]
    stripe: Annotated[Stripe, Meta(description="The Stripe account.")]
    migrations: Annotated[Migrations, Meta(description="How the database is migrated.")] = Migrations()
    release: Annotated[Release, Meta(description="The steps of a release.")] = Release()
    suspend: Annotated[
        bool, Meta(description="Stops a release before its next step; repairs and automatic rollbacks go on.")
    ] = False

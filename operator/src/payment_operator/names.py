"""How the resource, its objects, labels and annotations are called: docs/contracts.md, "The operator's objects"."""

from typing import Final

GROUP: Final = "payments.leanconstruction.io"
VERSION: Final = "v1alpha1"
EnvironmentKey = tuple[str, str]
"""Namespace and name of an environment."""
KIND: Final = "PaymentEnvironment"
PLURAL: Final = "paymentenvironments"
REQUEST_KIND: Final = "EnvironmentRequest"
REQUEST_PLURAL: Final = "environmentrequests"
API_VERSION: Final = f"{GROUP}/{VERSION}"

MANAGER: Final = "payment-operator"
"""Field manager of every server-side apply, and the value of app.kubernetes.io/managed-by."""

LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_INSTANCE: Final = "app.kubernetes.io/instance"
LABEL_COMPONENT: Final = "app.kubernetes.io/component"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_ENVIRONMENT: Final = f"{GROUP}/environment"
LABEL_REVISION: Final = f"{GROUP}/revision"
LABEL_STEP: Final = f"{GROUP}/step"
APPLICATION: Final = "lean-payments"

ANNOTATION_RELEASE: Final = f"{GROUP}/release"
"""On a ControllerRevision: the release record."""
ANNOTATION_CUTOVER: Final = f"{GROUP}/cutover"
"""On the Service: where traffic goes, where it came from and since when. Written with the selector in one patch."""
ANNOTATION_PODS: Final = f"{GROUP}/pods"
"""On a smoke Job: the pods that were ready when it was made."""
ANNOTATION_CREDENTIALS_VERSION: Final = f"{GROUP}/credentials-version"

API: Final = "api"
WORKER: Final = "worker"
JOB: Final = "job"
"""The container of a Job's pod."""


def container(component: str, *, job: bool) -> str:
    """Our container's name in a pod; what others in it (meshes, agents) answer is not ours."""
    return JOB if job else component


def api_service(environment: str) -> str:
    """The Service that follows the active revision; Ingresses point at it."""
    return f"{environment}-api"


def preview_service(environment: str) -> str:
    """The Service of the candidate; of the active revision while there is no candidate."""
    return f"{environment}-api-preview"


def metrics_service(environment: str) -> str:
    """The headless Service over the admin ports of all pods, for Prometheus."""
    return f"{environment}-metrics"


def revision(environment: str, digest: str) -> str:
    """The ControllerRevision of a revision."""
    return f"{environment}-{digest}"


def deployment(environment: str, component: str, digest: str) -> str:
    """A Deployment of a revision, and its PodDisruptionBudget."""
    return f"{environment}-{component}-{digest}"


def autoscaler(environment: str, component: str) -> str:
    """The HorizontalPodAutoscaler of a component."""
    return f"{environment}-{component}"


def job(environment: str, step: str, digest: str, run: int) -> str:
    """A Job of a release step (plan, expand, smoke, contract); `run` counts the runs of one revision from 1."""
    return f"{environment}-{step}-{digest}-a{run}"


def credentials(environment: str, digest: str) -> str:
    """An immutable version of the credentials, named by what it holds."""
    return f"{environment}-credentials-{digest}"


def webhook_secrets(environment: str) -> str:
    """The Secret with the webhook signing secrets that every revision accepts; it changes while pods run."""
    return f"{environment}-webhook-secrets"


def secret_keys(environment: str) -> str:
    """The Secret with the values of SECRET_KEY that API pods have; it changes while pods run."""
    return f"{environment}-secret-keys"


def webhook_signing_keys(environment: str) -> str:
    """The Secret with the values of WEBHOOK_SIGNING_KEY that API and worker have; it changes while pods run."""
    return f"{environment}-webhook-signing-keys"


def migration_secret(environment: str) -> str:
    """The Secret with the owner role's database URL; only migration Jobs mount it."""
    return f"{environment}-migration"


def database_roles(environment: str) -> str:
    """The Secret with the record of the database's role rotation; only the operator reads it."""
    return f"{environment}-database-roles"


def worker_config(environment: str) -> str:
    """The ConfigMap that tells a starting worker whether it claims: one key a revision."""
    return f"{environment}-worker"

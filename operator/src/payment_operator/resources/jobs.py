"""Jobs of a release: plan, expand, smoke, contract; their pods run the revision's own image."""

import copy
import shlex
from typing import Final

from payment_operator import names
from payment_operator.api.environment import Environment
from payment_operator.resources.credentials import MIGRATION
from payment_operator.resources.metadata import Manifest, Owner
from payment_operator.resources.pod_fields import pod_metadata

PLAN, EXPAND, SMOKE, CONTRACT = "plan", "expand", "smoke", "contract"
MIGRATIONS: Final = frozenset({PLAN, EXPAND, CONTRACT})
_MOUNT: Final = "/run/secrets/migration"
_PROBE: Final = "/run/secrets/probe-key"
_LAST_WORDS: Final = "/dev/termination-log"
TAKEN: Final = 8
"""Exit code of `payments migrate` and `payments smoke` in a database that is another environment's."""
NEVER_AGAIN: Final = (2, 4, 5, 6, 7, TAKEN)
"""Exit codes of `payments migrate` that another try does not change: docs/contracts.md."""

RESOURCES: Final = {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}}
_EVICTED: Final = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
"""A pod that a drain evicts is made again and counts as nothing."""


def migration_job(
    owner: Owner,
    spec: Environment,
    *,
    step: str,
    revision: str,
    run: int,
    pod: Manifest,
    owner_role: bool,
    group: str = "",
) -> Manifest:
    """`payments migrate` with the flag that the step names; `pod` is the revision's stored Job pod.

    `group` is the role that has the application's rights; empty: the user of DATABASE_URL.
    """
    pod = copy.deepcopy(pod)
    (container,) = pod["containers"]
    container["command"] = ["payments", "migrate", f"--{step}"]
    if owner_role and step == EXPAND:
        # the owner's tables are nobody else's until they are granted
        whom = f" --role {shlex.quote(group)}" if group else ""
        then = f": > {_LAST_WORDS} && payments database grants{whom} --apply"
        container["command"] = ["sh", "-c", f"payments migrate --{EXPAND} && {then}"]
    container["env"] += [
        {
            "name": "PAYMENTS_DATABASE_LOCK_TIMEOUT_SECONDS",
            "value": str(min(spec.migrations.lock_timeout_seconds, 600)),
        },
        {
            "name": "PAYMENTS_DATABASE_STATEMENT_TIMEOUT_SECONDS",
            "value": str(min(spec.migrations.statement_timeout_seconds, 3600)),
        },
    ]
    if owner_role:
        container["env"].append({"name": f"{MIGRATION}_FILE", "value": f"{_MOUNT}/{MIGRATION}"})
        container["volumeMounts"].append({"name": "migration", "mountPath": _MOUNT, "readOnly": True})
        items = [{"key": MIGRATION, "path": MIGRATION}]
        secret = {"secretName": names.migration_secret(owner.name), "defaultMode": 0o440, "items": items}
        pod["volumes"].append({"name": "migration", "secret": secret})
    job = _job(owner, spec, step=step, revision=revision, run=run, pod=pod, component="migrate")
    job["spec"] |= {
        "backoffLimit": spec.migrations.backoff_limit,
        "activeDeadlineSeconds": spec.migrations.active_deadline_seconds,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "FailJob",
                    "onExitCodes": {"containerName": names.JOB, "operator": "In", "values": list(NEVER_AGAIN)},
                },
                _EVICTED,
            ]
        },
    }
    return job


def smoke_job(
    owner: Owner, spec: Environment, *, revision: str, run: int, pod: Manifest, proves: tuple[str, ...]
) -> Manifest:
    """`payments smoke` against the preview Service; `proves` are the pods behind it, as `uid:restarts`."""
    pod = copy.deepcopy(pod)
    (container,) = pod["containers"]
    url = f"http://{names.preview_service(owner.name)}:{spec.service.port}"
    container["command"] = ["payments", "smoke", "--base-url", url]
    if (key := spec.release.probe_key_secret_ref) is not None:
        container["env"].append({"name": "SMOKE_API_KEY_FILE", "value": f"{_PROBE}/{key.key}"})
        container["volumeMounts"].append({"name": "probe-key", "mountPath": _PROBE, "readOnly": True})
        items = [{"key": key.key, "path": key.key}]
        pod["volumes"].append(
            {"name": "probe-key", "secret": {"secretName": key.name, "defaultMode": 0o440, "items": items}}
        )
    job = _job(owner, spec, step=SMOKE, revision=revision, run=run, pod=pod, component=SMOKE)
    job["metadata"]["annotations"] = {names.ANNOTATION_PODS: ",".join(proves)}
    job["spec"] |= {
        "backoffLimit": 0,
        "activeDeadlineSeconds": spec.release.smoke.timeout_seconds,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": [_EVICTED]},
    }
    return job


def _job(
    owner: Owner, spec: Environment, *, step: str, revision: str, run: int, pod: Manifest, component: str
) -> Manifest:
    labels = owner.labels(component, revision) | {names.LABEL_STEP: step}
    (container,) = pod["containers"]
    container["env"].append({"name": "PAYMENTS_TERMINATION_LOG", "value": _LAST_WORDS})
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    container.setdefault("resources", RESOURCES)
    metadata = pod_metadata(spec, names.JOB, labels)
    return owner.owned(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": names.job(owner.name, step, revision, run), "labels": labels},
            "spec": {"template": {"metadata": metadata, "spec": pod | {"restartPolicy": "Never"}}},
        }
    )

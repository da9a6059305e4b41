"""What a spec may not put into pods unless the operator runs with --allow-unsafe-pod-templates.

Whoever may change an environment must not thereby get a node, another account's rights or the Secrets: what the
baseline level of the Pod Security Standards forbids, and images and accounts other than the spec's own.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from payment_operator.api.environment import Environment

ALLOW: Final = "--allow-unsafe-pod-templates"
_HOST: Final = ("hostNetwork", "hostPID", "hostIPC", "automountServiceAccountToken")
_CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")
_PARTS: Final = ("api", "worker", "jobs")
_PROFILES: Final = ("seccompProfile", "appArmorProfile")


def unsafe_fields(spec: Environment) -> tuple[str, ...]:
    """The fields of the spec that the operator refuses, each by its path."""
    return tuple(_fields(msgspec.to_builtins(spec), spec))


def message(fields: tuple[str, ...]) -> str:
    """What a person reads."""
    return (
        f"{', '.join(fields)}: refused, for it gives pods more than the environment's own; remove it, or run the "
        f"operator with {ALLOW}; what serves goes on"
    )


def _fields(written: dict[str, Any], spec: Environment) -> Iterator[str]:
    pods = written.get("pods", {})
    for path, fields in (("spec.pods", pods), *((f"spec.pods.{part}", pods.get(part, {})) for part in _PARTS)):
        yield from _volumes(fields.get("volumes"), path)
        yield from _security(fields.get("securityContext"), f"{path}.securityContext")
    for part in ("api", "worker"):
        template = written.get(part, {}).get("podTemplate", {})
        account = pods.get(part, {}).get("serviceAccountName") or spec.pods.service_account_name
        yield from _template(template.get("spec"), f"spec.{part}.podTemplate.spec", image=spec.image, account=account)


def _template(pod: Any, path: str, *, image: str, account: str | None) -> Iterator[str]:
    pod = _object(pod)
    yield from (f"{path}.{name}" for name in _HOST if pod.get(name))
    yield from (
        f"{path}.{name}" for name in ("serviceAccountName", "serviceAccount") if pod.get(name) not in (None, account)
    )
    yield from _volumes(pod.get("volumes"), path)
    yield from _security(pod.get("securityContext"), f"{path}.securityContext")
    for kind in _CONTAINERS:
        for number, item in enumerate(_items(pod.get(kind))):
            where = f"{path}.{kind}[{item.get('name', number)}]"
            if item.get("image") not in (None, image):
                yield f"{where}.image"
            yield from _security(item.get("securityContext"), f"{where}.securityContext")
            if any(port.get("hostPort") for port in _items(item.get("ports"))):
                yield f"{where}.ports.hostPort"


def _volumes(volumes: Any, path: str) -> Iterator[str]:
    for number, volume in enumerate(_items(volumes)):
        where = f"{path}.volumes[{volume.get('name', number)}]"
        if "hostPath" in volume:
            yield f"{where}.hostPath"
        sources = _items(_object(volume.get("projected")).get("sources"))
        if any("serviceAccountToken" in source for source in sources):
            yield f"{where}.projected.serviceAccountToken"


def _security(context: Any, path: str) -> Iterator[str]:
    context = _object(context)
    yield from (f"{path}.{name}" for name in ("privileged", "allowPrivilegeEscalation", "sysctls") if context.get(name))
    if context.get("procMount") not in (None, "Default"):
        yield f"{path}.procMount"
    if _object(context.get("capabilities")).get("add"):
        yield f"{path}.capabilities.add"
    if _object(context.get("windowsOptions")).get("hostProcess"):
        yield f"{path}.windowsOptions.hostProcess"
    yield from (f"{path}.{name}" for name in _PROFILES if _object(context.get(name)).get("type") == "Unconfined")


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []

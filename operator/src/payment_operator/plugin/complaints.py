"""Reads what kubectl complains about and names the fix."""

import re
from typing import Final

from payment_operator import names
from payment_operator.plugin.errors import NotFound, NotPermitted, PluginError, Unreachable, WrongUsage

RESOURCE: Final = f"{names.PLURAL}.{names.GROUP}"
REQUESTS: Final = f"{names.REQUEST_PLURAL}.{names.GROUP}"

_FORBIDDEN: Final = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]*)"| (?P<everywhere>at the cluster scope))'
)
_ABSENT: Final = re.compile(r"\(NotFound\): (?P<resource>\S+) \"(?P<name>[^\"]*)\" not found")
_POLICY: Final = re.compile(r"ValidatingAdmissionPolicy '[^']*' with binding '[^']*' denied request: (?P<why>.+)")
_UNREACHABLE: Final = (
    "Unable to connect to the server",
    "connection refused",
    "connection to the server",
    "no such host",
    "i/o timeout",
    "TLS handshake timeout",
    "context deadline exceeded",
)
_LOGGED_OUT: Final = ("You must be logged in", "(Unauthorized)", "provide credentials", "error: EOF")
_CONFIGURATION: Final = re.compile(
    r"^(Error in configuration|error: (error loading config|stat |no configuration|context))"
)


def error_of(complaint: str) -> PluginError:
    """Return the error that a complaint of kubectl stands for."""
    text = complaint.strip()
    if found := _FORBIDDEN.search(text):
        return _forbidden(found)
    if kind := _unknown_kind(text):
        return NotFound(
            f"this cluster does not know {kind}: its CustomResourceDefinition is not installed",
            fix="install the operator: helm install payments ./chart, or only the kind: "
            "kubectl apply --server-side -f chart/crds",
        )
    if found := _ABSENT.search(text):
        return NotFound(f"there is no {found['resource'].partition('.')[0]} named {found['name']}")
    return _connection(text)


def _unknown_kind(text: str) -> str:
    unknown = ("doesn't have a resource type", "could not find the requested resource", "no matches for kind")
    if not any(part in text for part in unknown):
        return ""
    kinds = ((names.KIND, names.PLURAL), (names.REQUEST_KIND, names.REQUEST_PLURAL))
    return next((kind for kind, plural in kinds if kind in text or plural in text), "")


def _connection(text: str) -> PluginError:
    if found := _POLICY.search(text):
        return NotPermitted(f"an admission policy refuses it: {found['why'].strip()}")
    if any(part in text for part in _LOGGED_OUT):
        return NotPermitted(
            "the cluster does not accept your credentials", fix="log in again, then: kubectl auth whoami"
        )
    if any(part in text for part in _UNREACHABLE):
        return Unreachable(
            f"no API server answers: {_last_line(text)}", fix="check the context: kubectl config get-contexts"
        )
    if _CONFIGURATION.match(text):
        return WrongUsage(_last_line(text), fix="list what there is: kubectl config get-contexts")
    return PluginError(_last_line(text) or "kubectl failed without a word")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return re.sub(r"^(error:|Error in configuration:|Error from server[^:]*:)\s*", "", lines[-1]) if lines else ""


def _forbidden(found: re.Match[str]) -> NotPermitted:
    return forbidden(
        found["user"],
        verb=found["verb"],
        resource=found["resource"],
        group=found["group"],
        namespace="" if found["everywhere"] else found["namespace"],
    )


def forbidden(user: str, *, verb: str, resource: str, group: str, namespace: str) -> NotPermitted:
    """Return the error of a lacking right; without a namespace it lacks in the whole cluster."""
    place = f"in namespace {namespace}" if namespace else "in the whole cluster"
    kind = f"Role in {namespace}" if namespace else "ClusterRole"
    return NotPermitted(
        f"{user} may not {verb} {resource} {place}",
        fix=f"the missing rule, for a {kind}:\n{rule(group=group, resource=resource, verb=verb)}",
    )


def rule(*, group: str, resource: str, verb: str) -> str:
    """Return an RBAC rule as it stands in a Role."""
    return f'  - apiGroups: ["{group}"]\n    resources: ["{resource}"]\n    verbs: ["{verb}"]'

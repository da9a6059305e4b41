"""Objects of Kubernetes as they may leave the cluster. Rather too much is removed than too little."""

import json
import re
from typing import Any, Final

from payment_operator.redaction import MARK, is_secret_name, redact_value

_SECRET_NAME: Final = re.compile(r"(?i)(secret|password|passwd|token|key|credential|url|dsn)")
_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]+")
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def json_text(value: Any) -> str:
    """Return an object of Kubernetes as JSON, without the values of variables that may be secrets."""
    return json.dumps(redact_value(_cleaned(value)), indent=2, ensure_ascii=False)


def _cleaned(value: Any) -> Any:
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: inner for name, inner in value.items() if name not in {"managedFields", _LAST_APPLIED}}
    if kept.get("kind") == "Secret":
        kept |= {name: dict.fromkeys(kept[name], MARK) for name in ("data", "stringData") if kept.get(name)}
    if isinstance(kept.get("value"), str) and isinstance(kept.get("name"), str):
        kept["value"] = kept["value"] if _harmless(kept["name"]) else MARK
    return {
        name: MARK if _VARIABLE.fullmatch(name) and not _harmless(name) else _cleaned(inner)
        for name, inner in kept.items()
    }


def _harmless(variable: str) -> bool:
    """``…_FILE`` names a path; any other variable whose name sounds secret may be one."""
    return variable.endswith("_FILE") or not (_SECRET_NAME.search(variable) or is_secret_name(variable))

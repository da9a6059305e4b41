"""The CRD's CEL rules in Python: offline there is no CEL. A test holds this table equal to the CRD's rules.

No CEL library runs in the plugin's one file: cel-python 0.5 imports `re2`, a C++ extension, and pendulum; mimicel needs
`re2` and protobuf, common-expression-language is Rust. celparser is pure, but needs Flask, and had one release in 2025.
"""

import re
from collections.abc import Callable, Iterator
from functools import reduce
from operator import getitem
from typing import Any, Final, cast

Schema = dict[str, Any]
Check = Callable[[dict[str, Any], str], bool]


def _live(value: dict[str, Any]) -> bool:
    return bool(value["stripe"]["mode"] == "Live")


def _fixed_image(value: dict[str, Any], rule: str) -> bool:
    (pattern,) = re.findall(r"matches\('([^']+)'\)", rule)
    return bool(re.search(pattern, value["image"])) and not value["image"].endswith(":latest")


def _https(value: dict[str, Any], _: str) -> bool:
    url = value["webhook"].get("url")
    return value["mode"] != "Live" or url is None or url.startswith("https://")


def _in_live(path: str, least: int) -> Check:
    """At least so much in Live mode."""

    def check(value: dict[str, Any], _: str) -> bool:
        return not _live(value) or reduce(getitem, path.split("."), cast("Any", value)) >= least

    return check


def _families(value: dict[str, Any], _: str) -> bool:
    """One family, or two that a policy asks for."""
    families = value.get("ipFamilies", [])
    return len(families) <= 1 or (
        len(set(families)) == len(families) and value.get("ipFamilyPolicy", "SingleStack") != "SingleStack"
    )


def _measures(value: dict[str, Any], rule: str) -> bool:
    """Measures differ in their names, from each other and from those that the operator has itself."""
    found = [entry.get("name", "") for part in ("prometheus", "webhooks") for entry in value.get(part, [])]
    taken = re.findall(r"'([a-z0-9]+)'", rule)
    return len(set(found)) == len(found) and not set(found) & set(taken)


_FLOORS: Final = {
    "release.bake.seconds": 60,
    "release.retainSeconds": 300,
    "release.drainSeconds": 5,
    "stripe.webhook.rotation.intervalSeconds": 86_400,
    "stripe.webhook.rotation.overlapSeconds": 600,
    "database.rotation.intervalSeconds": 86_400,
}
_MEASURES: Final = (
    "((has(self.prometheus) ? self.prometheus.map(e, e.name) : []) "
    "+ (has(self.webhooks) ? self.webhooks.map(e, e.name) : []))"
)
CHECKS: Final[dict[str, Check | None]] = {
    **{
        f"self.stripe.mode != 'Live' || self.{path} >= {least}": _in_live(path, least)
        for path, least in _FLOORS.items()
    },
    "size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')": (
        lambda value, _: re.fullmatch("(?=.{1,40}$)[a-z]([-a-z0-9]*[a-z0-9])?", value["metadata"]["name"]) is not None
    ),
    "self.stripe.mode != 'Live' || self.image.matches('@sha256:[0-9a-f]{64}$')": (
        lambda value, _: not _live(value) or re.search("@sha256:[0-9a-f]{64}$", value["image"]) is not None
    ),
    "self.provider == 'Managed' || has(self.secretRef)": (
        lambda value, _: value["provider"] == "Managed" or "secretRef" in value
    ),
    "self.provider != 'Managed' || has(self.url)": lambda value, _: value["provider"] != "Managed" or "url" in value,
    "has(self.signingKeySecretRef) || !(has(self.allowedNetworks) || self.allowHttp)": (
        lambda value, _: "signingKeySecretRef" in value or not ("allowedNetworks" in value or value["allowHttp"])
    ),
    "self.maxOverlapSeconds >= self.overlapSeconds": (
        lambda value, _: value["maxOverlapSeconds"] >= value["overlapSeconds"]
    ),
    "self.rotation.mode != 'AlternatingRoles' || has(self.migrationUrlSecretRef)": (
        lambda value, _: value["rotation"]["mode"] != "AlternatingRoles" or "migrationUrlSecretRef" in value
    ),
    "self.mode != 'AlternatingRoles' || (size(self.roles) == 2 && self.roles[0] != self.roles[1])": (
        lambda value, _: value["mode"] != "AlternatingRoles" or len(set(value["roles"])) == len(value["roles"]) == 2  # noqa: PLR2004 - a pair
    ),
    "self.mode != 'AlternatingRoles' || has(self.adminSecretRef)": (
        lambda value, _: value["mode"] != "AlternatingRoles" or "adminSecretRef" in value
    ),
    "has(self.configMap) != has(self.secret)": lambda value, _: ("configMap" in value) != ("secret" in value),
    "self.mode == oldSelf.mode": None,  # compares with what is stored: only the API server can
    "self.mode != 'Live' || !has(self.apiBase)": lambda value, _: value["mode"] != "Live" or "apiBase" not in value,
    "self.mode != 'Live' || !has(self.webhook.url) || self.webhook.url.startsWith('https://')": _https,
    "self.retainSeconds >= self.drainSeconds": lambda value, _: value["retainSeconds"] >= value["drainSeconds"],
    (
        "!has(self.ipFamilies) || size(self.ipFamilies) < 2 || (self.ipFamilies[0] != self.ipFamilies[1] && "
        "has(self.ipFamilyPolicy) && self.ipFamilyPolicy != 'SingleStack')"
    ): _families,
    f"{_MEASURES}.all(n, {_MEASURES}.exists_one(m, m == n) && !(n in ['declines', 'p99', 'refusals', 'restarts']))": (
        _measures
    ),
    "has(self.min) || has(self.max)": lambda value, _: "min" in value or "max" in value,
    "self.minReplicas <= self.maxReplicas": lambda value, _: value["minReplicas"] <= value["maxReplicas"],
}
_IMAGE: Final = re.compile(r"self\.image\.matches\('[^']+'\) && !self\.image\.endsWith\(':latest'\)")


def check_of(rule: str) -> Check | None:
    """Return the check of a rule; nothing for a rule that compares with what is stored.

    Raises:
        KeyError: the rule is newer than this table.
    """
    return _fixed_image if _IMAGE.fullmatch(rule) else CHECKS[rule]


def broken(value: Any, schema: Schema, path: str = "") -> Iterator[str]:
    """Yield the message of each rule that the value breaks; defaults must be filled in."""
    for entry in schema.get("x-kubernetes-validations", []):
        check = check_of(entry["rule"])
        if check is not None and not check(value, entry["rule"]):
            yield f"{path}: {entry['message']}" if path else str(entry["message"])
    if isinstance(value, dict):
        for name, field in schema.get("properties", {}).items():
            if name in value:
                yield from broken(value[name], field, f"{path}.{name}" if path else name)
    if isinstance(value, list):
        for place, entry in enumerate(value):
            yield from broken(entry, schema.get("items", {}), f"{path}[{place}]")

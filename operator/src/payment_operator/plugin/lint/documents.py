"""Reads manifests. Kubectl is the YAML parser: ``--local`` asks no cluster."""

import json
from collections.abc import Iterator
from typing import Any

from payment_operator.plugin.errors import WrongUsage
from payment_operator.plugin.kubectl import Kubectl

Object = dict[str, Any]
_UNUSED = "lint.invalid/unused-"


def documents(kubectl: Kubectl, path: str, *, stdin: str | None) -> list[Object]:
    """Return the objects of a file, a folder, or standard input (``-``).

    Raises:
        WrongUsage: it cannot be read, or is no YAML.
    """
    # removes an annotation that is not there: of all commands this one changes nothing and takes any kind
    done = kubectl.run("annotate", "--local", "--output=json", f"--filename={path}", _UNUSED, stdin=stdin)
    found = list(_objects(done.out))
    if done.code:
        raise WrongUsage(
            f"{path}: {done.complaint.strip().removeprefix('error: ')}", fix="name a file or folder of YAML"
        )
    return found


def _objects(text: str) -> Iterator[Object]:
    decoder = json.JSONDecoder()
    rest = text.lstrip()
    while rest:
        found, end = decoder.raw_decode(rest)
        yield from found.get("items", [found]) if found.get("kind") == "List" else [found]
        rest = rest[end:].lstrip()

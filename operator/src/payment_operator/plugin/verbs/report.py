"""``report``: a redacted bundle for a bug report. Secrets are never read, not even to be removed."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from payment_operator import names
from payment_operator.plugin.context import Context
from payment_operator.plugin.describe import status_of
from payment_operator.plugin.errors import PluginError, WrongUsage
from payment_operator.plugin.kubectl import Object
from payment_operator.plugin.redact import json_text
from payment_operator.plugin.screens import status_screen
from payment_operator.plugin.snapshot import Observed, observe
from payment_operator.plugin.terminal import Style
from payment_operator.plugin.verbs.logs import OPERATOR
from payment_operator.printable import printable
from payment_operator.redaction import redact

_LOG_LINES: Final = 2000
_README: Final = """A redacted report of the PaymentEnvironment {name}, made by kubectl payments report.
Removed: API keys, signing secrets, passwords, tokens, mail addresses, card numbers, variables with such names.
No Secret was read. Look through the files before you send them.
"""


def report(context: Context) -> int:
    """Write the bundle and name its contents.

    Raises:
        WrongUsage: the file exists, or its folder does not.
    """
    observed = observe(context.kubectl, context.name)
    name = observed.environment["metadata"]["name"]
    path = Path(context.options.file or f"payments-report-{name}-{observed.at:%Y%m%dT%H%M%SZ}.tar.gz")
    contents = dict(_contents(context, observed))
    try:
        with path.open("xb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for inner, content in sorted(contents.items()):
                _add(archive, f"{path.name.removesuffix('.tar.gz')}/{inner}", content, observed)
    except FileExistsError as error:
        raise WrongUsage(f"{path} exists already", fix="name another file: report --file FILE") from error
    except OSError as error:
        raise WrongUsage(f"{path} cannot be written: {error.strerror}", fix="report --file FILE") from error
    lines = [f"{context.output.style.sign('done')} wrote {path}", *(f"    {inner}" for inner in sorted(contents))]
    lines.append("secrets are removed; look through it before you send it")
    context.output.show(lines, {"file": str(path), "contents": sorted(contents)})
    return 0


def _add(archive: tarfile.TarFile, name: str, content: str, observed: Observed) -> None:
    data = printable(content).encode()  # whoever looks through it does so in a terminal
    member = tarfile.TarInfo(name)
    member.size, member.mtime = len(data), int(observed.at.timestamp())
    archive.addfile(member, io.BytesIO(data))


def _contents(context: Context, observed: Observed) -> Iterator[tuple[str, str]]:
    environment = observed.environment
    name, namespace = environment["metadata"]["name"], environment["metadata"]["namespace"]
    yield "README.txt", _README.format(name=name)
    status = status_of(observed)
    yield "status.txt", redact("\n".join(status_screen(status, Style())) + "\n")
    yield "status.json", json_text(status.plain())
    yield "environment.json", json_text(environment)
    for entry in observed.owned:
        yield f"objects/{entry['kind']}-{entry['metadata']['name']}.json", json_text(entry)
    yield "versions.json", _asked(context, "version", "--output=json")
    place = f"--namespace={namespace}"
    yield "events.txt", _asked(context, "get", "events", place, "--sort-by=.lastTimestamp", "--output=wide")
    for pod in observed.of_kind("Pod"):
        yield from _logs(context, pod)
    yield from _operator(context)


def _logs(context: Context, pod: Object) -> Iterator[tuple[str, str]]:
    name, place = pod["metadata"]["name"], f"--namespace={pod['metadata']['namespace']}"
    arguments = ("logs", name, place, "--all-containers", "--prefix", f"--tail={_LOG_LINES}")
    yield f"logs/{name}.txt", _asked(context, *arguments)
    if any(entry.get("restartCount") for entry in pod.get("status", {}).get("containerStatuses") or []):
        yield f"logs/{name}.previous.txt", _asked(context, *arguments, "--previous")


def _operator(context: Context) -> Iterator[tuple[str, str]]:
    try:
        pods = context.kubectl.get("pods", "--all-namespaces", f"--selector={OPERATOR}")["items"]
    except PluginError as error:
        yield "operator/missing.txt", redact(f"{error}\n{error.fix}\n")
        return
    for pod in pods:
        yield f"operator/{pod['metadata']['name']}.json", json_text(pod)
        yield from ((f"operator/{inner}", content) for inner, content in _logs(context, pod))
    crd = f"{names.PLURAL}.{names.GROUP}"
    yield "operator/crd.yaml", _asked(context, "get", "customresourcedefinition", crd, "--output=yaml")


def _asked(context: Context, *arguments: str) -> str:
    """Return what kubectl prints, or why it does not: a report without one part is better than none."""
    try:
        return redact(context.kubectl.checked(*arguments))
    except PluginError as error:
        return redact(f"not available: {error}\n{error.fix}\n")

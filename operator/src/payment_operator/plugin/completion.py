"""Shell completion.

Kubectl asks an executable ``kubectl_complete-payments``; it and the shells' own scripts run ``__complete``. Argcomplete
and Click speak protocols of their own (``COMP_LINE`` and descriptor 8, ``_…_COMPLETE``) and not kubectl's, which wants
a directive in the last line: with either, ``kubectl payments <TAB>`` would need this again beside it.
"""

import argparse
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from payment_operator import names
from payment_operator.plugin.arguments import Parser, parser
from payment_operator.plugin.complaints import RESOURCE
from payment_operator.plugin.kubectl import Kubectl, flags_of

NO_FILES: Final = ":4"
FILES: Final = ":0"
"""Directives of kubectl's completion protocol: whether the shell proposes files as well."""

_SECONDS: Final = 3

SCRIPTS: Final = {
    "kubectl": '#!/bin/sh\n# kubectl runs this for: kubectl payments <TAB>\nexec kubectl payments __complete "$@"\n',
    "bash": """_kubectl_payments() {
    local IFS=$'\\n' cur="${COMP_WORDS[COMP_CWORD]}"
    COMPREPLY=($(compgen -W "$(kubectl-payments __complete "${COMP_WORDS[@]:1:COMP_CWORD}" | sed '$d')" -- "$cur"))
}
complete -o default -F _kubectl_payments kubectl-payments
""",
    "zsh": """#compdef kubectl-payments
_kubectl_payments() {
    local -a found
    found=(${(f)"$(kubectl-payments __complete "${words[@]:1}" | sed '$d')"})
    compadd -a found
}
compdef _kubectl_payments kubectl-payments
""",
    "fish": """complete -c kubectl-payments -f -a \
'(kubectl-payments __complete (commandline -opc)[2..-1] (commandline -ct) | sed "$d")'
""",
}


def complete(words: list[str]) -> list[str]:
    """Return what fits the last word, then the directive."""
    *before, last = words or [""]
    top = parser()
    verbs = _choices(top, "verb")
    if not before:
        return [*_fitting([*verbs, "--help", "--version"], last), NO_FILES]
    verb = verbs.get(before[0])
    if verb is None:
        return [NO_FILES]
    taken = _taking_value(verb, before)
    if taken is not None:
        return _values(taken, before, last)
    if last.startswith("-"):
        return [*_fitting(verb._option_string_actions, last), NO_FILES]  # noqa: SLF001 - argparse has no public list
    return [*_fitting(_positional(verb, before), last), NO_FILES]


def _choices(top: Parser, dest: str) -> dict[str, Parser]:
    (action,) = [action for action in top._actions if action.dest == dest]  # noqa: SLF001 - as above
    return dict(action.choices or {})


def _taking_value(verb: Parser, before: list[str]) -> argparse.Action | None:
    action = verb._option_string_actions.get(before[-1])  # noqa: SLF001 - as above
    return action if action is not None and action.nargs is None else None


def _values(action: argparse.Action, before: list[str], last: str) -> list[str]:
    if action.choices:
        return [*_fitting(map(str, action.choices), last), NO_FILES]
    match action.dest:
        case "filename" | "file" | "kubeconfig" | "certificate_authority":
            return [FILES]
        case "namespace":
            return [*_fitting(_names(before, "namespaces"), last), NO_FILES]
        case "revision" | "to":
            path = "--output=jsonpath={range .items[*]}{.revision}{'\\n'}{end}"
            label = f"--selector={names.LABEL_ENVIRONMENT}"
            return [*_fitting(_asked(before, "controllerrevisions.apps", label, path), last), NO_FILES]
        case "image":
            path = "--output=jsonpath={range .items[*]}{.spec.image}{'\\n'}{end}"
            return [*_fitting(_asked(before, RESOURCE, path), last), NO_FILES]
        case _:
            return [NO_FILES]


def _positional(verb: Parser, before: list[str]) -> list[str]:
    wanted = [action for action in verb._actions if not action.option_strings]  # noqa: SLF001 - as above
    given = _given(verb, before)
    if given >= len(wanted):
        return []
    choices = wanted[given].choices
    return [str(choice) for choice in choices] if choices else list(_names(before, RESOURCE))


def _given(verb: Parser, before: list[str]) -> int:
    """How many of the words after the verb are neither options nor their values."""
    words = before[1:]
    return sum(
        not word.startswith("-") and _taking_value(verb, before[: position + 1]) is None
        for position, word in enumerate(words)
    )


def _names(before: list[str], kind: str) -> Iterator[str]:
    return (line.rpartition("/")[2] for line in _asked(before, kind, "--output=name"))


def _asked(before: list[str], *arguments: str) -> Iterator[str]:
    """Ask the cluster that the words so far name; silence when it does not answer, for a shell waits."""
    given = dict(pairwise(before))
    flags = flags_of(
        [
            ("--namespace", given.get("-n") or given.get("--namespace")),
            ("--context", given.get("--context")),
            ("--kubeconfig", given.get("--kubeconfig")),
        ]
    )
    try:
        done = Kubectl(flags=flags).run("get", *arguments, seconds=_SECONDS)
    except Exception:  # noqa: BLE001 - whatever it is, a shell's completion shows nothing
        return
    yield from done.out.splitlines()


def _fitting(words: "Iterator[str] | list[str] | dict[str, argparse.Action]", last: str) -> list[str]:
    return [word for word in words if word.startswith(last)]

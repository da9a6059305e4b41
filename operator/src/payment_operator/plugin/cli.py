"""``kubectl payments``: reads the command line, runs the verb, prints errors with their fix."""

import sys
from collections.abc import Callable, Sequence
from typing import Final

from payment_operator.plugin.arguments import KUBECTL_FLAGS, parser
from payment_operator.plugin.completion import SCRIPTS, complete
from payment_operator.plugin.context import Context
from payment_operator.plugin.errors import PluginError, WrongUsage
from payment_operator.plugin.kubectl import Kubectl, flags_of
from payment_operator.plugin.output import Output, close_output, style_of_output
from payment_operator.plugin.verbs import change, lint, logs, report, rotate, show
from payment_operator.uncaught import redact_uncaught

VERSION: Final = "2.0.0"
_INTERRUPTED: Final = 130

VERBS: Final[dict[str, Callable[[Context], int]]] = {
    "status": show.status,
    "plan": show.plan,
    "history": show.history,
    "promote": change.promote,
    "approve": change.approve,
    "abort": change.abort,
    "retry": change.retry,
    "rollback": change.rollback,
    "freeze": change.freeze,
    "unfreeze": change.unfreeze,
    "pause": change.pause,
    "resume": change.resume,
    "rotate": rotate.rotate,
    "logs": logs.logs,
    "report": report.report,
    "lint": lint.lint,
}


def main() -> None:
    """Run the command and leave with its exit code."""
    redact_uncaught()
    sys.exit(run(sys.argv[1:]))


def main_completion() -> None:
    """Answer kubectl's question for what fits the words so far."""
    sys.exit(run(["__complete", *sys.argv[1:]]))


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    try:
        return _run(list(arguments))
    except PluginError as error:
        Output.error(str(error), error.fix)
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        close_output()
        return 0


def _run(arguments: list[str]) -> int:
    for number, argument in enumerate(arguments, start=1):
        if argument.encode(errors="replace").decode() != argument:
            raise WrongUsage(f"argument {number} is not UTF-8", fix="type it as text")
    if arguments[:1] == ["__complete"]:
        Output.exact("\n".join(complete(arguments[1:])))
        return 0
    top = parser()
    options = top.parse_args(arguments)
    if options.version:
        Output.line(f"kubectl-payments {VERSION}")
        return 0
    if options.verb is None:
        top.print_help()
        return 0
    if options.verb == "completion":
        Output.exact(SCRIPTS[options.shell].rstrip("\n"))
        return 0
    named = [("--namespace", options.namespace)]
    named += [(flag, getattr(options, flag[2:].replace("-", "_"))) for flag, _ in KUBECTL_FLAGS]
    named.append(("--insecure-skip-tls-verify", options.insecure_skip_tls_verify))
    style = style_of_output(options.color)
    context = Context(
        kubectl=Kubectl(flags=flags_of(named)),
        output=Output(style=style, form=getattr(options, "output", "text")),
        options=options,
    )
    return VERBS[options.verb](context)

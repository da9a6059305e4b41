"""The command line."""

import argparse
import re
from typing import Final, NoReturn

from payment_operator.plugin.errors import WrongUsage

PROGRAM: Final = "kubectl payments"
WHATS: Final = ("webhook", "api-key", "database", "secret-key")
_EXIT_CODES: Final = """
exit codes:
  0  done; status: serving or on its way
  1  status: failed, stuck or not ready; lint, plan: something found
  2  wrong usage            3  refused               4  not found
  5  no permission          6  no answer in time     7  no kubectl, no cluster
"""
_FIRST_STEPS: Final = """
a release, step by step:
  kubectl payments status -w              both revisions with their pods, the step, what it waits for
  kubectl payments promote --revision 18  when promotion is Manual: send traffic to revision 18
  kubectl payments abort --revision 18    before it has traffic: stop it
  kubectl payments rollback               after that: send traffic back
  kubectl payments rotate webhook         replace a secret: webhook, api-key, database, secret-key

NAME may be left out while the namespace has one PaymentEnvironment.
"""
LONGEST_REASON: Final = 1024
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600}

KUBECTL_FLAGS: Final = (
    ("--context", "name of the kubeconfig's context"),
    ("--cluster", "name of the kubeconfig's cluster"),
    ("--user", "name of the kubeconfig's user"),
    ("--kubeconfig", "path of the kubeconfig"),
    ("--server", "address of the API server"),
    ("--token", "bearer token"),
    ("--as", "user to impersonate"),
    ("--as-group", "group to impersonate"),
    ("--certificate-authority", "path of the API server's certificate authority"),
    ("--request-timeout", "time limit of one request to the API server"),
)


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are our errors."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of leaving the process."""
        raise WrongUsage(message, fix=f"{self.prog} --help")


def seconds(text: str) -> float:
    """Read a duration such as ``90``, ``90s``, ``10m`` or ``1h``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not found:
        message = f"{text!r} is no duration; write 90s, 10m or 1h"
        raise argparse.ArgumentTypeError(message)
    return float(found[1]) * _UNITS[found[2]]


def revision_number(text: str) -> int:
    """Read the number of a revision, as the API server takes it."""
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        message = f"{text[:20]!r} is no revision; write its number, for example 18"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def one_line(text: str) -> str:
    """Read a reason, as the API server takes it."""
    if len(text) > LONGEST_REASON or not text.isprintable():
        message = f"it must be one line of at most {LONGEST_REASON} characters"
        raise argparse.ArgumentTypeError(message)
    return text


def parser() -> Parser:
    """Return the parser of the whole command line."""
    top = Parser(
        prog=PROGRAM,
        description="Releases of payment environments: see them, promote, abort, roll back; rotate their secrets.",
        epilog=_FIRST_STEPS + _EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="store_true", help="print the version")
    verbs = top.add_subparsers(title="verbs", dest="verb", metavar="VERB", parser_class=Parser)
    _look(verbs)
    _request(verbs)
    _inspect(verbs)
    return top


Verbs = argparse._SubParsersAction  # noqa: SLF001 - the type has no public name


_EXAMPLES: Final = {
    "status": """
  kubectl payments status -w                               until the release is over
  kubectl payments status -w --until hold --timeout 30m    until it waits for somebody to promote
""",
    "plan": """
  kubectl payments plan                  of the release that runs, or ran last
  kubectl payments plan --image REF      of an image before it is released
""",
    "promote": """
  kubectl payments promote --revision 18 -w            send traffic to 18, watch it to the end
  kubectl payments promote --reason "seen enough"      while it is being watched: end the watch early
  afterwards, to go back:  kubectl payments rollback
""",
    "approve": """
  kubectl payments approve --revision 18      it gets the traffic once its checks have passed
  to end a bake early:      kubectl payments promote --reason TEXT
""",
    "freeze": """
  kubectl payments freeze --reason "sale until Monday"    repairs, ways back and leaks go on
  to go on:                 kubectl payments unfreeze
""",
    "unfreeze": """
  kubectl payments unfreeze
  then watch it:            kubectl payments status -w
""",
    "abort": """
  kubectl payments abort --revision 18      before it has traffic; the serving revision stays
  once it has traffic:      kubectl payments rollback
  to try the same again:    kubectl payments retry
""",
    "retry": """
  kubectl payments retry --revision 18 -w      every step anew, once the cause is gone
  what failed and why:      kubectl payments status, kubectl payments logs --revision 18
""",
    "rollback": """
  kubectl payments rollback --dry-run      what would happen, or what blocks it
  kubectl payments rollback -w             to the revision before, at once while its pods run
  kubectl payments rollback --to 15 -w     to an older one: its pods start and are proven first
  which revisions there are:  kubectl payments history
""",
    "pause": """
  kubectl payments pause       repairs and automatic rollbacks go on
  to go on:                 kubectl payments resume
""",
    "resume": """
  kubectl payments resume
  then watch it:            kubectl payments status -w
""",
    "rotate": """
  kubectl payments rotate webhook --dry-run         what would happen, or what to do by hand
  kubectl payments rotate webhook                   a second endpoint at Stripe, both accepted for a while
  kubectl payments rotate database --compromised    it has leaked: the old one goes as soon as the new one serves
  kubectl payments rotate api-key                   the steps to a new key, which only a person can make
  kubectl payments rotate secret-key                the next steps: no API key is lost, no pod restarts
  how far it is:            kubectl payments status
""",
    "logs": """
  kubectl payments logs --green                       green's pods and Jobs
  kubectl payments logs --step smoke                  one step's Jobs
  kubectl payments logs --operator --since 10m        the operator's own
""",
    "history": """
  kubectl payments history
  one that is listed again:   kubectl payments rollback --to 15
""",
    "report": """
  kubectl payments report     secrets are removed; look through it all the same
""",
    "lint": """
  kubectl payments lint -f environment.yaml
  helm template . | kubectl payments lint -f -
""",
}


def _verb(verbs: "Verbs[Parser]", name: str, help_: str, *, environment: bool = True, form: bool = True) -> Parser:
    made: Parser = verbs.add_parser(
        name,
        help=help_,
        description=f"{help_[0].upper()}{help_[1:]}.\n\nexamples:{_EXAMPLES[name]}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.usage = f"{PROGRAM} {name} {'[NAME] ' if environment else ''}[options]"
    if environment:
        made.add_argument("environment", nargs="?", metavar="NAME", help="the PaymentEnvironment")
    if form:
        made.add_argument("-o", "--output", choices=("text", "json", "yaml"), default="text", help="form of the answer")
    made.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="default: on a terminal")
    cluster = made.add_argument_group("the cluster, as for kubectl")
    cluster.add_argument("-n", "--namespace", help="namespace")
    for flag, meaning in KUBECTL_FLAGS:
        cluster.add_argument(*(("-s", flag) if flag == "--server" else (flag,)), metavar="VALUE", help=meaning)
    cluster.add_argument("--insecure-skip-tls-verify", action="store_true", help="do not verify the certificate")
    return made


def _look(verbs: "Verbs[Parser]") -> None:
    status = _verb(verbs, "status", "show both revisions, their pods, the release's step and what to do next")
    status.add_argument("-w", "--watch", action="store_true", help="until the release is over: 0 serves, 1 failed")
    status.add_argument(
        "--until", choices=("over", "hold"), default="over", help="with -w: hold ends when a promotion is waited for"
    )
    status.add_argument(
        "--timeout", type=seconds, metavar="TIME", help="with -w: give up after so long, for example 10m"
    )
    plan = _verb(verbs, "plan", "show the migrations of a release, their SQL and what lint says; changes nothing")
    plan.add_argument(
        "--image", metavar="REF", help="of this image, before it is released; runs a Job for it (default: the release)"
    )
    plan.add_argument("--timeout", type=seconds, default=180.0, metavar="TIME", help="with --image (default 3m)")
    _verb(verbs, "history", "list the revisions that are remembered")


def _request(verbs: "Verbs[Parser]") -> None:
    for name, help_, flag in (
        ("promote", "send traffic to green, the revision being released", "--revision"),
        ("approve", "let green through once its checks have passed", "--revision"),
        ("abort", "stop green, the revision being released, before it has traffic", "--revision"),
        ("retry", "try the failed revision again, or what was refused", "--revision"),
        ("rollback", "send traffic back to blue, or to an earlier revision", "--to"),
    ):
        verb = _verb(verbs, name, help_)
        which = "default: the one before" if flag == "--to" else "refused if another one is meant meanwhile"
        verb.add_argument(flag, type=revision_number, metavar="N", help=f"number of the revision; {which}")
        if name == "rollback":
            verb.add_argument("--dry-run", action="store_true", help="say what would happen, change nothing")
        verb.add_argument("--reason", type=one_line, default="", metavar="TEXT", help="kept in the history")
        verb.add_argument("-w", "--watch", action="store_true", help="then watch until it has happened")
        verb.add_argument(
            "--timeout", type=seconds, metavar="TIME", help="with -w: give up after so long, for example 10m"
        )
        verb.add_argument(
            "--timeout-answer", type=seconds, default=30.0, metavar="TIME", help="of the operator (default 30s)"
        )
    for name, help_ in (("freeze", "let no release take a step"), ("unfreeze", "let releases go on")):
        verb = _verb(verbs, name, help_)
        verb.add_argument("--reason", type=one_line, default="", metavar="TEXT", help="kept in the history")
        verb.add_argument(
            "--timeout-answer", type=seconds, default=30.0, metavar="TIME", help="of the operator (default 30s)"
        )
    _verb(verbs, "pause", "stop the release before its next step")
    _verb(verbs, "resume", "let the release go on")
    rotate = _verb(verbs, "rotate", "rotate a secret: a new one is proven before the old one goes", environment=False)
    rotate.usage = f"{PROGRAM} rotate WHAT [NAME] [options]"
    rotate.add_argument("what", metavar="WHAT", choices=WHATS, help="webhook, api-key, database or secret-key")
    rotate.add_argument("environment", nargs="?", metavar="NAME", help="the PaymentEnvironment")
    rotate.add_argument("--compromised", action="store_true", help="it has leaked: skip holds, overlap and retention")
    rotate.add_argument("--dry-run", action="store_true", help="say what would happen, change nothing")
    rotate.add_argument(
        "--timeout-answer", type=seconds, default=30.0, metavar="TIME", help="of the operator (default 30s)"
    )


def _inspect(verbs: "Verbs[Parser]") -> None:
    logs = _verb(verbs, "logs", "print the logs of pods and Jobs", form=False)
    which = logs.add_mutually_exclusive_group()
    which.add_argument("--blue", dest="colour", action="store_const", const="blue", help="only the blue revision")
    which.add_argument("--green", dest="colour", action="store_const", const="green", help="only the green revision")
    which.add_argument("--revision", type=int, metavar="N", help="only this revision")
    which.add_argument("--operator", action="store_true", help="the operator's own")
    part = logs.add_mutually_exclusive_group()
    part.add_argument("--component", choices=("api", "worker"), help="only these pods")
    part.add_argument("--step", choices=("plan", "expand", "smoke", "contract"), help="only this step's Jobs")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what is written from now")
    logs.add_argument("--previous", action="store_true", help="of the containers before their restart")
    logs.add_argument("--since", metavar="TIME", help="only newer than this, for example 10m")
    logs.add_argument("--tail", type=int, default=50, metavar="LINES", help="of each container (default 50, -1: all)")
    report = _verb(verbs, "report", "write a redacted bundle for a bug report")
    report.add_argument("--file", metavar="FILE", help="default: payments-report-NAME-TIME.tar.gz")
    lint = _verb(verbs, "lint", "check a resource without a cluster", environment=False)
    lint.add_argument(
        "-f", "--filename", action="append", required=True, metavar="FILE", help="file or folder; - for standard input"
    )
    completion = verbs.add_parser("completion", help="print a completion script", description="Print a script.")
    completion.add_argument("shell", choices=("kubectl", "bash", "zsh", "fish"), help="kubectl: for all its shells")

"""The screens: models in, lines out. Nothing is looked up here."""

from collections.abc import Iterator
from typing import Final

from payment_operator.plugin import clock
from payment_operator.plugin.model import Command, Plan, Pod, Progress, Revision, Secret, Side, State, Status, Step
from payment_operator.plugin.rotation import WORDS
from payment_operator.plugin.terminal import Style, table

_TONES: Final[dict[State, str]] = {
    "NotSeen": "yellow",
    "Settled": "green",
    "Releasing": "cyan",
    "Waiting": "yellow",
    "Paused": "yellow",
    "Failed": "red",
    "Stalled": "red",
    "NotReady": "red",
}
_MARKS: Final[dict[State, str]] = {
    "NotSeen": "running",
    "Settled": "done",
    "Releasing": "running",
    "Waiting": "attention",
    "Paused": "attention",
    "Failed": "failed",
    "Stalled": "failed",
    "NotReady": "failed",
}
_STEP_LOOKS: Final[dict[Progress, tuple[str, ...]]] = {
    "done": ("green",),
    "running": ("bold", "cyan"),
    "failed": ("red",),
    "ahead": ("dim",),
}
_LONGEST_DETAIL: Final = 400
"""Characters; ``-o json`` has the whole text."""
_LABELS: Final = {"blue": ("BLUE ", "blue"), "green": ("GREEN", "green"), "old": ("OLD  ", "dim")}


def status_screen(status: Status, style: Style) -> list[str]:
    """Draw both colours, the release's steps, what it waits for and what to type next."""
    tone = _TONES[status.state]
    lines = [
        f"{style.paint(status.environment, 'bold')}  namespace {status.namespace}, Stripe mode {status.mode}",
        style.paint(f"{style.sign(_MARKS[status.state])} {status.headline}", tone),
    ]
    if status.detail and not status.steps:
        lines.append(f"  {_cut(status.detail)}")
    for side in status.sides:
        lines += ["", *_side(side, style)]
    if status.steps:
        begun = f", begun {clock.duration(status.seconds)} ago" if status.seconds is not None else ""
        lines += ["", f"release of revision {status.revision}{begun}:", *_steps(status.steps, style)]
    if status.facts:
        lines += ["", *table([[topic, answer] for topic, answer in status.facts.items()])]
    if status.secrets:
        lines += ["", *_secrets(status.secrets, style)]
    if status.hidden:
        lines += ["", "not shown, for lack of rights:"]
        lines += [f"  {line}" for error in status.hidden for line in error.splitlines()]
    return lines + list(_next(status.next, style))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_DETAIL else text[: _LONGEST_DETAIL - 1] + "…"


def _side(side: Side, style: Style) -> Iterator[str]:
    label, colour = _LABELS[side.colour]
    wanted = f"/{side.wanted}" if side.wanted is not None else ""
    head = f"{style.paint(label, 'bold', colour)}  revision {side.revision}  {style.paint(side.role, 'bold')}"
    yield f"{head}  {side.ready}{wanted} ready"
    yield style.paint(f"       {side.hash}  {side.image}", "dim")
    rows = [_pod(pod, style) for pod in side.pods]
    for line, pod in zip(table(rows, indent="       "), side.pods, strict=True):
        yield line if pod.ready else style.paint(line, "yellow")
        if pod.trouble:
            yield style.paint(f"         {pod.trouble}", "yellow")


def _pod(pod: Pod, style: Style) -> list[str]:
    restarts = f"{pod.restarts} restart{'' if pod.restarts == 1 else 's'}"
    sign = style.sign("done" if pod.ready else "ahead")
    return [f"{sign} {pod.name}", pod.component, pod.status, restarts, clock.duration(pod.age_seconds), pod.node]


def _steps(steps: list[Step], style: Style) -> Iterator[str]:
    rows = [[f"{style.sign(step.progress)} {step.name}", clock.duration(step.seconds), step.note] for step in steps]
    for line, step in zip(table(rows, indent="  "), steps, strict=True):
        yield style.paint(line, *_STEP_LOOKS[step.progress])


def _secrets(secrets: list[Secret], style: Style) -> Iterator[str]:
    rows = [["secret", "version", "fingerprint", "age", "next rotation", "state"]]
    rows += [
        [
            WORDS[secret.what],
            str(secret.version),
            secret.fingerprint,
            clock.duration(secret.age_seconds),
            due_in(secret),
            _cut(f"{secret.state}: {secret.note}" if secret.note else secret.state),
        ]
        for secret in secrets
    ]
    head, *body = table(rows)
    yield style.paint(head, "bold")
    for line, secret in zip(body, secrets, strict=True):
        yield style.paint(line, "yellow") if secret.next else line


def due_in(secret: Secret) -> str:
    """Return when the next rotation is, in words; empty when it is not known."""
    if secret.next_seconds is None:
        return ""
    return f"in {clock.duration(secret.next_seconds)}" if secret.next_seconds else "due"


def _next(commands: list[Command], style: Style) -> Iterator[str]:
    if not commands:
        return
    yield ""
    yield "next:"
    width = max(len(command.line) for command in commands)
    for command in commands:
        yield f"  {style.paint(command.line.ljust(width), 'bold')}  {command.effect}"


def history_screen(revisions: list[Revision], style: Style) -> list[str]:
    """Draw one line for each revision, newest first."""
    if not revisions:
        return ["no revision yet"]
    rows = [["REVISION", "HASH", "STATE", "AGE", "IMAGE", "NOTE"]]
    rows += [
        [str(entry.revision), entry.hash, entry.state, clock.duration(entry.age_seconds), entry.image, entry.note]
        for entry in revisions
    ]
    head, *body = table(rows)
    return [style.paint(head, "bold"), *body]


def plan_screen(plan: Plan, style: Style) -> list[str]:
    """Draw what a release does to the database."""
    of = f"revision {plan.revision}, " if plan.revision is not None else ""
    lines = [
        f"{style.paint(plan.environment, 'bold')}  namespace {plan.namespace}, {of}{plan.image}",
        f"schema {plan.current or 'unknown'}, the image wants {plan.target or 'unknown'}",
    ]
    if not plan.pending:
        return [*lines, style.paint(f"{style.sign('done')} Nothing to migrate.", "green")]
    lines += ["", "pending:", *(f"  {entry}" for entry in plan.pending)]
    if plan.lint:
        lines += ["", style.paint("lint:", "red"), *(f"  {style.sign('failed')} {entry}" for entry in plan.lint)]
    else:
        lines += ["", style.paint(f"{style.sign('done')} lint found nothing", "green")]
    if plan.sql:
        lines += ["", f"SQL ({plan.source}):", *(f"  {line}".rstrip() for line in plan.sql.strip().splitlines())]
    return lines

"""Runs kubectl, and turns what it complains about into an error with its fix."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import pairwise
from threading import Thread
from typing import IO, Any, BinaryIO, cast

from payment_operator.plugin import complaints
from payment_operator.plugin.errors import PluginError, Unreachable

Object = dict[str, Any]

SECONDS = 60
"""No single answer of kubectl takes longer, streams aside."""
LONGEST_LINE = 65_536
"""Characters after which a streamed line is broken: the kubelet breaks those of containers much earlier."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """What one run of kubectl gave."""

    code: int
    out: str
    complaint: str


@dataclass(frozen=True, kw_only=True)
class Kubectl:
    """One cluster and namespace, as the flags name them."""

    flags: tuple[str, ...] = ()
    program: str = "kubectl"

    def command(self, arguments: Iterable[str]) -> list[str]:
        """Return the whole command line.

        Raises:
            Unreachable: the machine has no kubectl.
        """
        found = shutil.which(self.program)
        if found is None:
            raise Unreachable(
                "kubectl is not installed, or not on the PATH",
                fix="install it: https://kubernetes.io/docs/tasks/tools/",
            )
        return [found, *self.flags, *arguments]

    def run(self, *arguments: str, stdin: str | None = None, seconds: float = SECONDS) -> Done:
        """Run it and return what it printed, complaints included.

        Raises:
            Unreachable: it did not end in time.
        """
        try:
            done = subprocess.run(  # noqa: S603 - kubectl, with arguments of our own
                self.command(arguments),
                input=stdin or "",  # never our own: kubectl would ask for a user's name there
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unreachable(
                f"kubectl {arguments[0]} did not end within {seconds:.0f} s",
                fix="see whether the cluster answers: kubectl get --raw=/readyz",
            ) from error
        return Done(code=done.returncode, out=done.stdout, complaint=done.stderr)

    def checked(self, *arguments: str, stdin: str | None = None, seconds: float = SECONDS) -> str:
        """Run it and return what it printed.

        Raises:
            PluginError: it failed; the subclass says how.
        """
        done = self.run(*arguments, stdin=stdin, seconds=seconds)
        if done.code:
            raise complaints.error_of(done.complaint)
        return done.out

    def get(self, *arguments: str) -> Object:
        """Return the object that ``kubectl get`` prints.

        Raises:
            PluginError: it failed; the subclass says how.
        """
        answer: Object = json.loads(self.checked("get", "--output=json", *arguments))
        return answer

    def get_what_is_allowed(self, *arguments: str) -> tuple[list[Object], list[PluginError]]:
        """Return the objects of all kinds asked for that the user may see, and why the others are missing."""
        done = self.run("get", "--output=json", "--ignore-not-found", *arguments)
        items = json.loads(done.out).get("items", []) if done.out.strip() else []
        if not done.code:
            return items, []
        errors = [complaints.error_of(line) for line in done.complaint.splitlines() if line.strip()]
        if fatal := next((error for error in errors if isinstance(error, Unreachable)), None):
            raise fatal
        return items, errors

    def stream(self, *arguments: str, line: Callable[[str], None], complaint: Callable[[str], None]) -> int:
        """Run it, hand on each line when it comes, and return its exit code."""
        with subprocess.Popen(  # noqa: S603 - as above
            self.command(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as running:
            aside = Thread(target=_hand_on, args=(running.stderr, complaint), daemon=True)
            aside.start()
            try:
                _hand_on(running.stdout, line)
                aside.join()
            except BaseException:
                running.kill()  # nobody reads on
                raise
        return running.returncode

    def namespace(self) -> str:
        """Return the namespace that commands without one work in."""
        for flag, value in pairwise(self.flags):
            if flag == "--namespace":
                return value
        done = self.run("config", "view", "--minify", "--output=jsonpath={..namespace}")
        return done.out.strip() or "default"


def _hand_on(stream: IO[bytes] | None, line: Callable[[str], None]) -> None:
    if stream is None:
        return
    # only a line feed ends a line: a carriage return would let one line look like two
    with TextIOWrapper(cast("BinaryIO", stream), encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        while text := lines.readline(LONGEST_LINE):
            line(text.removesuffix("\n"))


def flags_of(values: Sequence[tuple[str, str | bool | None]]) -> tuple[str, ...]:
    """Return kubectl's flags for the options that were given."""
    flags: list[str] = []
    for name, value in values:
        if value is True:
            flags.append(name)
        elif value:
            flags += [name, str(value)]
    return tuple(flags)

"""Prints what a verb found: lines for people, or the whole model for programs. Nothing else of the plugin prints.

What comes from the cluster (pods' words, conditions, names) may steer no terminal, not even through a pipe; keys and
addresses of people that it holds are removed.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

from payment_operator.plugin.plain_yaml import to_yaml
from payment_operator.plugin.terminal import Style, shown, style_of
from payment_operator.redaction import redact, redact_value

_HOME, _CLEAR, _END_OF_LINE, _END_OF_SCREEN = "\x1b[H", "\x1b[2J", "\x1b[K", "\x1b[J"
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"


@dataclass(frozen=True, kw_only=True)
class Output:
    """Where and how answers are printed."""

    style: Style
    form: str = "text"

    def show(self, lines: list[str], model: Any) -> None:
        """Print lines, or the model as JSON or YAML: both hold the same."""
        if self.form == "json":
            self.exact(json.dumps(redact_value(model), indent=2, ensure_ascii=False))
        elif self.form == "yaml":
            self.exact(to_yaml(redact_value(model)).rstrip("\n"))
        else:
            self.line("\n".join(lines))

    def change(self, text: str, model: Any) -> None:
        """Print one of many answers: a line, a line of JSON, or a document of YAML."""
        if self.form == "json":
            self.exact(json.dumps(redact_value(model), ensure_ascii=False))
        elif self.form == "yaml":
            self.exact(f"---\n{to_yaml(redact_value(model))}".rstrip("\n"))
        else:
            self.line(text)

    @staticmethod
    def line(text: str) -> None:
        """Print one text at once: a pipe's reader sees each change when it happens."""
        _write(sys.stdout, shown(redact(text)) + "\n")

    @staticmethod
    def exact(text: str) -> None:
        """Print a text of ours, or one without secrets: every word of it counts for a program."""
        _write(sys.stdout, shown(text) + "\n")

    @staticmethod
    def complain(text: str) -> None:
        """Print one text for people to standard error."""
        _write(sys.stderr, shown(redact(text)) + "\n")

    @staticmethod
    def error(message: str, fix: str) -> None:
        """Print why a command failed and what to do."""
        label = style_of(sys.stderr).paint("error:", "bold", "red")
        Output.complain(f"{label} {message}" + (f"\n{fix}" if fix else ""))

    @property
    def live(self) -> bool:
        """Whether a screen can be drawn anew: lines for people, on a terminal."""
        return self.form == "text" and sys.stdout.isatty()

    @contextmanager
    def screen(self) -> Iterator[None]:
        """Clear the screen for `draw`, and let lines wrap again afterwards."""
        _write(sys.stdout, _NO_WRAP + _CLEAR)
        try:
            yield
        finally:
            _write(sys.stdout, _WRAP)

    @staticmethod
    def draw(lines: list[str]) -> None:
        """Draw the screen anew."""
        drawn = "".join(f"{shown(redact(line))}{_END_OF_LINE}\n" for line in lines)
        _write(sys.stdout, _HOME + drawn + _END_OF_SCREEN)


def close_output() -> None:
    """Print nothing more: the reader has gone, and closing the stream would complain about it once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_watched() -> bool:
    """Whether a person looks at standard error."""
    return sys.stderr.isatty()


def style_of_output(colour: str) -> Style:
    """Return what standard output can show."""
    return style_of(sys.stdout, colour=colour)


def _write(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()

"""Prints what a verb found: lines for people, or the whole model for programs."""

import json
import sys
from dataclasses import dataclass
from typing import Any

from payment_operator.plugin.plain_yaml import to_yaml
from payment_operator.plugin.terminal import Style


@dataclass(frozen=True, kw_only=True)
class Output:
    """Where and how answers are printed."""

    style: Style
    form: str = "text"

    def show(self, lines: list[str], model: Any) -> None:
        """Print lines, or the model as JSON or YAML: both hold the same."""
        if self.form == "json":
            self.line(json.dumps(model, indent=2, ensure_ascii=False))
        elif self.form == "yaml":
            self.line(to_yaml(model).rstrip("\n"))
        else:
            self.line("\n".join(lines))

    def change(self, text: str, model: Any) -> None:
        """Print one of many answers: a line, a line of JSON, or a document of YAML."""
        if self.form == "json":
            self.line(json.dumps(model, ensure_ascii=False))
        elif self.form == "yaml":
            self.line(f"---\n{to_yaml(model)}".rstrip("\n"))
        else:
            self.line(text)

    @staticmethod
    def line(text: str) -> None:
        """Print one text at once: a pipe's reader sees each change when it happens."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

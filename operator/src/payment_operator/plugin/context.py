"""What every verb gets: the cluster, where to print, and the options."""

import argparse
from dataclasses import dataclass

from payment_operator.plugin.kubectl import Kubectl
from payment_operator.plugin.output import Output


@dataclass(frozen=True, kw_only=True)
class Context:
    """One call of the command."""

    kubectl: Kubectl
    output: Output
    options: argparse.Namespace

    @property
    def name(self) -> str | None:
        """The environment that was named, if one was."""
        name: str | None = self.options.environment
        return name

    @property
    def suffix(self) -> str:
        """What proposed commands end with, so that they can be pasted."""
        namespace = self.options.namespace
        return f" -n {namespace}" if namespace else ""
